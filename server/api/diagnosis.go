package api

import (
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server/observation"
)

// DiagnosisService says what works, what does not, and why.
type DiagnosisService struct {
	isthmusv1.UnimplementedDiagnosisServiceServer
	*Core
	// Observations are what agents saw last.
	Observations *observation.Table
	// Version is this program's.
	Version string
}
