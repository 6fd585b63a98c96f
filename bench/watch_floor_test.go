package bench_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// floorTask has the floor serve; floorServing says that it does.
type (
	floorTask    struct{ Addr, CertFile, KeyFile string }
	floorServing struct{ Version string }
)

// floor is the least that a server of long polls in Go costs: net/http, TLS, a map in memory, and nothing behind it.
type floor struct {
	mu sync.Mutex
	// topics are those that somebody waits for, by name; everybody waits for the one without a name, too.
	topics map[string]*topic
}

// topic is what was written last, and which write it was; changed is closed at the next one.
type topic struct {
	version int
	value   []byte
	changed chan struct{}
}

// serve begins to listen. The process ends with its input.
func (f *floor) serve(task floorTask) (floorServing, error) {
	f.topics = map[string]*topic{}
	certificate, err := tls.LoadX509KeyPair(task.CertFile, task.KeyFile)
	if err != nil {
		return floorServing{}, err
	}
	l, err := tls.Listen("tcp", task.Addr, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	if err != nil {
		return floorServing{}, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /own/{name}", f.watch)
	mux.HandleFunc("POST /own/{name}", f.write)
	mux.HandleFunc("POST /all", f.write)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }() // until the process ends
	return floorServing{Version: "the floor: long polls of net/http in memory"}, nil
}

// topic is called with the lock held.
func (f *floor) topic(name string) *topic {
	t := f.topics[name]
	if t == nil {
		t = &topic{changed: make(chan struct{})}
		f.topics[name] = t
	}
	return t
}

// watch answers when there is something that a watcher has not seen: at ?seen=own.all it had so many writes of either.
func (f *floor) watch(w http.ResponseWriter, r *http.Request) {
	own, _ := strconv.Atoi(r.FormValue("own")) // 0 when it is the first time
	all, _ := strconv.Atoi(r.FormValue("all"))
	end := time.NewTimer(longPoll)
	defer end.Stop()
	for first := r.FormValue("own") == ""; ; {
		f.mu.Lock()
		mine, everybody := f.topic(r.PathValue("name")), f.topic("")
		value, changed, changedAll := mine.value, mine.changed, everybody.changed
		if everybody.version > all {
			value = everybody.value
		}
		news := first || mine.version > own || everybody.version > all
		own, all = mine.version, everybody.version
		f.mu.Unlock()
		if news {
			w.Header().Set("Seen", "own="+strconv.Itoa(own)+"&all="+strconv.Itoa(all))
			_, _ = w.Write(value) // who has gone asks again
			return
		}
		select {
		case <-changed:
		case <-changedAll:
		case <-end.C:
			first = true
		case <-r.Context().Done():
			return
		}
	}
}

func (f *floor) write(w http.ResponseWriter, r *http.Request) {
	value, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.topic(r.PathValue("name"))
	t.version++
	t.value = value
	close(t.changed)
	t.changed = make(chan struct{})
}
