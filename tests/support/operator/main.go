// SPDX-License-Identifier: Apache-2.0

// Reads a list of Prometheus resources as JSON from stdin and writes, as a list of lists,
// the arguments that prometheus-operator starts their sidecars with.
package main

import (
	"encoding/json"
	"log"
	"os"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	prometheus "github.com/prometheus-operator/prometheus-operator/pkg/prometheus/server"
)

func main() {
	var resources []monitoringv1.Prometheus
	if err := json.NewDecoder(os.Stdin).Decode(&resources); err != nil {
		log.Fatal(err)
	}
	lists := [][]string{}
	for i := range resources {
		arguments, err := prometheus.SidecarArguments(&resources[i])
		if err != nil {
			log.Fatal(err)
		}
		lists = append(lists, arguments)
	}
	if err := json.NewEncoder(os.Stdout).Encode(lists); err != nil {
		log.Fatal(err)
	}
}
