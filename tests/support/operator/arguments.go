// SPDX-License-Identifier: Apache-2.0

// Laid beside the sources of package prometheus of prometheus-operator, whose function
// that makes the arguments of the sidecar is not exported (tests/support/peers.sh).
package prometheus

import (
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	prompkg "github.com/prometheus-operator/prometheus-operator/pkg/prometheus"
)

// SidecarArguments returns what the operator starts the sidecar of p with.
func SidecarArguments(p *monitoringv1.Prometheus) ([]string, error) {
	container, _, err := createThanosContainer(p, prompkg.Config{
		LocalHost:              "localhost",
		ThanosDefaultBaseImage: "quay.io/thanos/thanos",
	})
	if err != nil {
		return nil, err
	}
	return container.Args, nil
}
