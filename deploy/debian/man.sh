#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Make a manual page of one of the tree's: the title becomes NAME, unless that is there,
# and headings rise by one level. usage: man.sh LOWDOWN PAGE.md OUTPUT VERSION
set -eu
base=$(basename "$2" .md)
name=${base%.*} section=${base##*.}
sed -e "1s/^# $name($section): \(.*\)/# NAME\n\n$name - \1/" -e "1s/^# $name($section)\$//" \
    -e 's/^##/#/' "$2" |
    "$1" -s -t man -M "title=$name" -M "section=$section" -M "source=Blockhouse $4" \
        -M "volume=Blockhouse" -M date= -o "$3"
