package fault_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"isthmus/fault"
)

func all() []fault.Code {
	return []fault.Code{
		fault.Invalid, fault.NotFound, fault.AlreadyExists, fault.Conflict, fault.Referenced, fault.Refused, fault.Unauthenticated,
		fault.Denied, fault.TooLarge, fault.Busy, fault.Unavailable, fault.Canceled, fault.Timeout, fault.Unimplemented, fault.Internal,
	}
}

func TestFaultsComeBack(t *testing.T) {
	t.Parallel()
	for _, code := range all() {
		want := &fault.Error{Code: code, Message: "no", Violations: []fault.Violation{{Field: "spec.dialer", Reason: "Required", Message: "is missing"}}, RetryAfter: 90 * time.Second}
		sent := *want
		sent.Cause = errors.New("for logs")
		if diff := cmp.Diff(want, fault.FromStatus(sent.GRPCStatus(), code)); diff != "" {
			t.Errorf("%s: %s", code, diff)
		}
	}
}

// What comes without the exact code, or with one of a newer server, is of the code that claims less.
func TestCodesWithoutTheExactOne(t *testing.T) {
	t.Parallel()
	coarse := map[fault.Code]fault.Code{fault.Referenced: fault.Refused, fault.TooLarge: fault.Busy}
	for _, code := range all() {
		want, ok := coarse[code]
		if !ok {
			want = code
		}
		for _, exact := range []fault.Code{"", "of-tomorrow", fault.Internal} {
			if got := fault.FromStatus(fault.New(code, "no").GRPCStatus(), exact); got.Code != want {
				t.Errorf("%s with %q: got %s", code, exact, got.Code)
			}
		}
	}
	for grpc, want := range map[codes.Code]fault.Code{codes.OutOfRange: fault.Invalid, codes.Unknown: fault.Internal, codes.DataLoss: fault.Internal} {
		if got := fault.FromStatus(status.New(grpc, "no"), "of-tomorrow"); got.Code != want {
			t.Errorf("%s: got %s", grpc, got.Code)
		}
	}
}

func TestReasonsOutOfErrorInfo(t *testing.T) {
	t.Parallel()
	info, err := anypb.New(&errdetails.ErrorInfo{Reason: "TokenUsed"})
	if err != nil {
		t.Fatal(err)
	}
	st := status.FromProto(&spb.Status{
		Code: int32(codes.PermissionDenied), Message: "the join token is used up",
		Details: []*anypb.Any{{TypeUrl: "type.googleapis.com/of.tomorrow.Detail"}, info},
	})
	want := &fault.Error{
		Code: fault.Denied, Message: "the join token is used up",
		Violations: []fault.Violation{{Reason: "TokenUsed", Message: "the join token is used up"}},
	}
	if diff := cmp.Diff(want, fault.FromStatus(st, "")); diff != "" {
		t.Error(diff)
	}
}
