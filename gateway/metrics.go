package gateway

import (
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"isthmus/fault"
)

// scrapeHeaderTimeout is for whoever asks for metrics.
const scrapeHeaderTimeout = 5 * time.Second

// metrics are the gateway's. Labels are kinds of routes and reasons, whose number is fixed; never names or addresses.
type metrics struct {
	registry *prometheus.Registry
	errors   *prometheus.CounterVec
	byKind   map[Kind]*counters
}

// counters are those of one kind of route, looked up once.
type counters struct {
	connections, failedDials, fromClient, toClient prometheus.Counter
}

func newMetrics(open, routes func() float64) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "isthmus_gateway_" + name, Help: help}, labels)
	}
	gauge := func(name, help string, value func() float64) prometheus.GaugeFunc {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "isthmus_gateway_" + name, Help: help}, value)
	}
	connections := counter("connections_total", "Connections that were accepted, by kind of route; none: those without one.", "route")
	moved := counter("bytes_total", "Bytes that were passed on, by kind of route and direction.", "route", "direction")
	dials := counter("failed_dials_total", "Addresses that could not be connected to; the connection may have got through to another one.", "route")
	m := &metrics{
		registry: prometheus.NewRegistry(), byKind: map[Kind]*counters{},
		errors: counter("errors_total", "Connections that were refused or cut, by kind of route and reason.", "route", "reason"),
	}
	m.registry.MustRegister(connections, moved, dials, m.errors,
		gauge("open_connections", "Connections that are open.", open),
		gauge("routes", "Names, and suffixes of names, that there is a route for.", routes),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	for _, kind := range kinds() {
		label := string(kind)
		m.byKind[kind] = &counters{
			connections: connections.WithLabelValues(label), failedDials: dials.WithLabelValues(label),
			fromClient: moved.WithLabelValues(label, "from-client"), toClient: moved.WithLabelValues(label, "to-client"),
		}
	}
	return m
}

// of are the counters of a kind.
func (m *metrics) of(kind Kind) *counters {
	if c, ok := m.byKind[kind]; ok {
		return c
	}
	return m.byKind[KindStatic]
}

func (m *metrics) failed(kind Kind, reason Reason) {
	m.errors.WithLabelValues(string(kind), string(reason)).Inc()
}

// Handler serves /metrics, /healthz (200 while the process answers) and /readyz (200 while connections are accepted).
func (g *Gateway) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(g.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if g.draining.Load() {
			http.Error(w, "draining", http.StatusServiceUnavailable)
		}
	})
	return mux
}

// serveMetrics serves until the listener is closed.
func (g *Gateway) serveMetrics() error {
	server := &http.Server{Handler: g.Handler(), ReadHeaderTimeout: scrapeHeaderTimeout}
	err := server.Serve(g.metricsListener)
	if errors.Is(err, net.ErrClosed) {
		return server.Close()
	}
	return fault.Wrap(fault.Unavailable, err, "serving metrics")
}
