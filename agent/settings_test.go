package agent_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"isthmus/agent/consul"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/test/consultest"
)

// Who changes isthmus's setting in the mesh or the proxy-defaults entry is told of, whether it is put back or only reported.
func TestDriftOfSettings(t *testing.T) {
	t.Parallel()
	m := newMending(t, consultest.Start(t, "dc1"))
	state := func(drift string) *isthmusv1.DesiredState {
		return &isthmusv1.DesiredState{ConsulDatacenter: "dc1", Drift: drift, Items: []*isthmusv1.DesiredItem{
			entries(), throughGateways(true), {Id: "proxy-defaults", Type: "proxy-defaults", ProxyDefaults: &isthmusv1.ProxyDefaults{MeshGatewayMode: "local"}},
		}}
	}
	// drifts are all that were told so far, the newest first.
	drifts := func(drift string, refused bool) []string {
		t.Helper()
		_, _, first := m.Mend(t.Context(), state(drift))
		report, _, err := m.Mend(t.Context(), state(drift))
		if refused != (first != nil) || refused != (err != nil) {
			t.Errorf("%v, then %v", first, err)
		}
		var out []string
		for _, d := range report.GetDrifts() {
			if d.GetModifyIndex() == 0 && d.GetFound() != "" || d.GetTime() == nil {
				t.Errorf("%v: when was it?", d)
			}
			out = append(out, fmt.Sprintf("%s %s: %s for %s, %t", d.GetEntry(), d.GetPart(), d.GetFound(), d.GetWanted(), d.GetCorrected()))
		}
		return out
	}
	told := func(got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	const (
		through, mode = "mesh/mesh Peering.PeerThroughMeshGateways: ", "proxy-defaults/global MeshGateway.Mode: "
		off, gone     = through + "false for true, true", through + " for true, true"
	)
	told(drifts("correct", false))
	edit := func(kind, name string, change func(body map[string]any)) {
		t.Helper()
		e, err := mustClient(t, m.c, m.c.ManagementToken).Entry(t.Context(), kind, name)
		change(e.Body)
		need(t, errors.Join(err, mustClient(t, m.c, m.c.ManagementToken).PutEntry(t.Context(), e)))
	}
	edit(consul.KindMesh, consul.NameMesh, func(body map[string]any) { body["Peering"] = map[string]any{"PeerThroughMeshGateways": false} })
	told(drifts("correct", false), off)
	edit(consul.KindProxyDefaults, consul.NameProxyDefaults, func(body map[string]any) { body["MeshGateway"] = map[string]any{"Mode": "remote"} })
	told(drifts("correct", false), mode+`"remote" for "local", true`, off)
	// With the entry its marks go.
	m.c.Do(http.MethodDelete, "/v1/config/mesh/mesh", nil, nil)
	told(drifts("correct", false), gone, mode+`"remote" for "local", true`, off)
	edit(consul.KindProxyDefaults, consul.NameProxyDefaults, func(body map[string]any) { body["MeshGateway"] = map[string]any{"Mode": "none"} })
	told(drifts("report", true), mode+`"none" for "local", false`, gone, mode+`"remote" for "local", true`, off)
}

// Passes and amends merge settings at the same time, while a new desired state comes: none takes out what another one has just written, and nobody is
// said to have changed anything.
func TestSettingsAtTheSameTime(t *testing.T) {
	t.Parallel()
	m := newMending(t, consultest.Start(t, "dc1"))
	without := &isthmusv1.DesiredState{ConsulDatacenter: "dc1", Drift: "correct", Items: []*isthmusv1.DesiredItem{entries()}}
	with := proto.CloneOf(without)
	with.Items = append(with.Items, throughGateways(true),
		&isthmusv1.DesiredItem{Id: "proxy-defaults", Type: "proxy-defaults", ProxyDefaults: &isthmusv1.ProxyDefaults{MeshGatewayMode: "local"}})
	for range 5 {
		var state atomic.Pointer[isthmusv1.DesiredState]
		state.Store(without)
		var calls errgroup.Group
		for range 3 {
			calls.Go(func() error {
				for range 4 {
					if err := m.Settings(t.Context(), state.Load); err != nil {
						return err
					}
				}
				return nil
			})
		}
		state.Store(with)
		need(t, calls.Wait())
		report, _, err := m.Mend(t.Context(), with)
		need(t, err)
		if drifts := report.GetDrifts(); len(drifts) > 0 {
			t.Fatalf("somebody is said to have changed what nobody did: %v", drifts)
		}
		if _, _, err := m.Mend(t.Context(), without); err != nil {
			t.Fatal(err)
		}
	}
}
