//go:build !linux

package gateway

import "errors"

// canSplice: only Linux moves bytes from socket to socket within the kernel.
const canSplice = false

type pipe struct{}

func newPipe() (*pipe, error) { return nil, errors.ErrUnsupported }

func (*pipe) fill(uintptr) (int, error) { return 0, errors.ErrUnsupported }

func (*pipe) drain(uintptr, int) (int, error) { return 0, errors.ErrUnsupported }

func (*pipe) close() {}
