package connection

import (
	"fmt"
	"strings"

	"isthmus/resource"
)

// maxDifferences is how many services are named that differ.
const maxDifferences = 5

// catalogs compares what each end shows of the other one's services with what that one has itself.
func (k *link) catalogs() {
	spec := k.GetSpec()
	k.catalog(k.a, k.b, spec.GetDialerPeerName())
	k.catalog(k.b, k.a, spec.GetAcceptorPeerName())
}

// catalog compares, service by service, what to shows of the peer that from is there with from's own catalog.
func (k *link) catalog(from, to, peer string) {
	own, shown := k.of(from).index(), k.of(to).index()
	if own.Services == nil || shown.Services == nil {
		k.facts.add(EvidenceCatalog, "", resource.CheckUnknown, nil, "the catalogs of %s and %s are not both known", from, to)
		return
	}
	compared := len(shown.services[peer])
	var differ []string
	for _, s := range shown.services[peer] {
		if o := own.own[s.GetName()]; o.GetInstances() != s.GetInstances() || o.GetHealthy() != s.GetHealthy() {
			differ = append(differ, fmt.Sprintf("%s (%d/%d healthy in %s, %d/%d in %s)", s.GetName(), o.GetHealthy(), o.GetInstances(), from, s.GetHealthy(), s.GetInstances(), to))
		}
	}
	if len(differ) == 0 {
		k.facts.add(EvidenceCatalog, "", resource.CheckPass, nil, "%s shows %d services of %s, all as they are there", to, compared, from)
		return
	}
	text := fmt.Sprintf("%s shows %d of %d services of %s not as they are there: %s", to, len(differ), compared, from, strings.Join(differ[:min(len(differ), maxDifferences)], ", "))
	if more := len(differ) - maxDifferences; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	if settled := k.now.Sub(own.ServicesTime) > calm && k.now.Sub(shown.ServicesTime) > calm; !settled {
		k.facts.add(EvidenceCatalog, "", resource.CheckUnknown, nil, "%s; one of both has changed a moment ago, so this may be on its way", text)
		return
	}
	k.facts.add(EvidenceCatalog, "", resource.CheckFail, nil, "%s", text)
}
