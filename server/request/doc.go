// Package request is what happens around every call, whichever service it is for.
//
// Owns: the request id, the log line, the metrics and the last look at an error before the client sees it: a fault goes
// out as it is, anything else as internal, with fixed text and the id under which the log has the cause.
// Does not own: who may call (auth). Start reading at Observer.
package request
