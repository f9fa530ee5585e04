// SPDX-License-Identifier: Apache-2.0

// What codec.c measures, by the decoders of Prometheus over the same chunks: processor
// time of a sample, best of some runs. Two values a line: the encoding's byte, nanoseconds.
//
// usage: codec_prometheus FOLDER-OF-GOLDEN-BLOCKS SAMPLES
package main

import (
    "bufio"
    "compress/gzip"
    "encoding/hex"
    "encoding/json"
    "fmt"
    "os"
    "strconv"
    "syscall"

    "github.com/prometheus/prometheus/model/histogram"
    "github.com/prometheus/prometheus/tsdb/chunkenc"
)

const runs = 5

// What is read, so that reading it is not left out.
var digest float64

type series struct {
    C []struct {
        Enc int
        Hex string
    }
}

func check(err error) {
    if err != nil {
        fmt.Fprintln(os.Stderr, err)
        os.Exit(1)
    }
}

func readGolden(path string, into map[int][]chunkenc.Chunk) {
    file, err := os.Open(path)
    check(err)
    defer file.Close()
    plain, err := gzip.NewReader(file)
    check(err)
    lines := bufio.NewScanner(plain)
    lines.Buffer(nil, 64<<20)
    for lines.Scan() {
        var one series
        check(json.Unmarshal(lines.Bytes(), &one))
        for _, c := range one.C {
            data, err := hex.DecodeString(c.Hex)
            check(err)
            chunk, err := chunkenc.FromData(chunkenc.Encoding(c.Enc), data)
            check(err)
            into[c.Enc] = append(into[c.Enc], chunk)
        }
    }
    check(lines.Err())
}

func processorNs() float64 {
    var used syscall.Rusage
    check(syscall.Getrusage(syscall.RUSAGE_SELF, &used))
    return float64(used.Utime.Nano() + used.Stime.Nano())
}

// The iterator and the histograms are used again, as by PromQL.
type reader struct {
    it       chunkenc.Iterator
    integers *histogram.Histogram
    floats   *histogram.FloatHistogram
}

func (r *reader) read(chunk chunkenc.Chunk) (samples int) {
    var t int64
    r.it = chunk.Iterator(r.it)
    for kind := r.it.Next(); kind != chunkenc.ValNone; kind = r.it.Next() {
        var v float64
        switch kind {
        case chunkenc.ValFloat:
            t, v = r.it.At()
        case chunkenc.ValHistogram:
            t, r.integers = r.it.AtHistogram(r.integers)
            v = r.integers.Sum
        default:
            t, r.floats = r.it.AtFloatHistogram(r.floats)
            v = r.floats.Sum
        }
        digest += v + float64(t)
        samples++
    }
    check(r.it.Err())
    return samples
}

func measure(chunks []chunkenc.Chunk, least int) (best float64) {
    var r reader
    for run := range runs {
        begin, samples := processorNs(), 0
        for samples < least {
            for _, chunk := range chunks {
                samples += r.read(chunk)
            }
        }
        ns := (processorNs() - begin) / float64(samples)
        if run == 0 || ns < best {
            best = ns
        }
    }
    return best
}

func main() {
    chunks := map[int][]chunkenc.Chunk{}
    least, err := strconv.Atoi(os.Args[2])
    check(err)
    for _, folder := range []string{"xor", "xor2-st", "hist-st"} {
        readGolden(os.Args[1]+"/"+folder+"/expected.jsonl.gz", chunks)
    }
    for encoding := range 7 {
        if len(chunks[encoding]) > 0 {
            fmt.Printf("%d %.1f\n", encoding, measure(chunks[encoding], least))
        }
    }
}
