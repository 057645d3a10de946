// Command dns is CoreDNS with the few plugins that a cluster of one node needs: the cloud ones would triple its build.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
)

func main() {
	// The order in which a query passes them.
	dnsserver.Directives = []string{"bind", "errors", "health", "kubernetes", "cache"}
	coremain.Run()
}
