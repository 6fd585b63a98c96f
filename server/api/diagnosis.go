package api

import isthmusv1 "isthmus/proto/isthmus/v1"

// DiagnosisService says what works, what does not, and why.
type DiagnosisService struct {
	isthmusv1.UnimplementedDiagnosisServiceServer
	*Core
	// Version is this program's.
	Version string
}
