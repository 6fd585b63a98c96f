package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/client"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// connectionOf is the verdict on a peering with its evidence; nil for any other resource, and when the server is too old to say.
func connectionOf(ctx context.Context, c *client.Client, o resource.Object) (*isthmusv1.Connection, error) {
	if _, ok := o.(*isthmusv1.Peering); !ok {
		return nil, nil //nolint:nilnil // there is none, which is no error
	}
	answer, err := c.Connections(ctx, client.ConnectionOptions{Kind: resource.KindOf(o).Singular, Name: o.GetName()})
	switch code := fault.CodeOf(err); {
	case code == fault.NotFound, code == fault.Unimplemented, err == nil && len(answer) == 0:
		return nil, nil //nolint:nilnil // as above
	case err != nil:
		return nil, err
	}
	return answer[0], nil
}

// describePeering shows both ends side by side, the evidence, and the ledger of tokens.
func (p Program) describePeering(o resource.Object, row *isthmusv1.Connection) error {
	peering, ok := o.(*isthmusv1.Peering)
	if !ok {
		return nil
	}
	status, spec := peering.GetStatus(), peering.GetSpec()
	a, b := status.GetAcceptor(), status.GetDialer()
	header := []string{
		"END", "ACCEPTOR " + cmp.Or(spec.GetAcceptor(), spec.GetExternalAcceptor()+" (external)"), "DIALER " + cmp.Or(spec.GetDialer(), spec.GetExternalDialer()+" (external)"),
	}
	var rows [][]string
	for _, line := range endLines(p) {
		if of, and := line.value(a), line.value(b); of != "" || and != "" {
			rows = append(rows, []string{line.title, dash(of), dash(and)})
		}
	}
	if err := p.titledTable("Ends", header, rows); err != nil {
		return err
	}
	if err := p.describeEvidence(row); err != nil {
		return err
	}
	return p.describeTokens(status.GetToken())
}

// endLine is one thing that is told of an end.
type endLine struct {
	title string
	value func(*isthmusv1.PeeringEnd) string
}

func endLines(p Program) []endLine {
	at := func(t *timestamppb.Timestamp) string {
		if t == nil {
			return ""
		}
		return p.when(t)
	}
	return []endLine{
		{"state", (*isthmusv1.PeeringEnd).GetState},
		{"since", func(e *isthmusv1.PeeringEnd) string { return at(e.GetSince()) }},
		{"seen", seenText},
		{"heartbeat", (*isthmusv1.PeeringEnd).GetHeartbeat},
		{"last heartbeat", func(e *isthmusv1.PeeringEnd) string { return at(e.GetHeartbeatTime()) }},
		{"last receive", func(e *isthmusv1.PeeringEnd) string { return at(e.GetReceiveTime()) }},
		{"last send", func(e *isthmusv1.PeeringEnd) string { return at(e.GetSendTime()) }},
		{"exported", func(e *isthmusv1.PeeringEnd) string { return count(e, e.GetExportedServices()) }},
		{"imported", func(e *isthmusv1.PeeringEnd) string { return count(e, e.GetImportedServices()) }},
		{"peer id", (*isthmusv1.PeeringEnd).GetPeerId},
		{"token", func(e *isthmusv1.PeeringEnd) string { return count(e, e.GetGeneration()) }},
		{"leader transfer", func(e *isthmusv1.PeeringEnd) string {
			if e.GetLeaderTransfer() == 0 {
				return ""
			}
			return fmt.Sprintf("%d: %s", e.GetLeaderTransfer(), cmp.Or(e.GetLeaderTransferError(), "done"))
		}},
		{"error", func(e *isthmusv1.PeeringEnd) string {
			return strings.TrimSpace(e.GetErrorReason() + " " + e.GetError())
		}},
	}
}

func count(e *isthmusv1.PeeringEnd, n int32) string {
	if e == nil {
		return ""
	}
	return fmt.Sprint(n)
}

func seenText(end *isthmusv1.PeeringEnd) string {
	switch {
	case end == nil:
		return ""
	case end.GetSeen():
		return "yes"
	}
	return "no"
}

// describeEvidence is what speaks for the verdict, and against it.
func (p Program) describeEvidence(row *isthmusv1.Connection) error {
	if len(row.GetEvidence()) == 0 {
		return nil
	}
	var rows [][]string
	for _, e := range row.GetEvidence() {
		rows = append(rows, []string{e.GetVerdict(), e.GetId(), dash(e.GetDatacenter()), p.since(e.GetSince()), e.GetMessage()})
	}
	if err := p.titledTable("Evidence", []string{"VERDICT", "EVIDENCE", "DATACENTER", "SINCE", "MESSAGE"}, rows); err != nil {
		return err
	}
	if row.GetFix() != "" {
		p.printf("\nFix: %s\n", row.GetFix())
	}
	return nil
}

func (p Program) describeTokens(token *isthmusv1.TokenStatus) error {
	var rows [][]string
	for _, e := range token.GetLedger() {
		rows = append(rows, []string{
			fmt.Sprint(e.GetGeneration()), dash(e.GetOutcome()), by(e.GetMadeBy(), e.GetMakeTime()),
			by(e.GetDeliveredTo(), e.GetDeliverTime()), by(e.GetUsedBy(), e.GetUseTime()),
		})
	}
	if len(rows) == 0 {
		return nil
	}
	return p.titledTable("Tokens", []string{"GENERATION", "OUTCOME", "MADE", "DELIVERED", "USED"}, rows)
}

// by tells who did something, and when.
func by(who string, at *timestamppb.Timestamp) string {
	if who == "" {
		return "-"
	}
	return who + " " + at.AsTime().UTC().Format("2006-01-02T15:04:05Z")
}
