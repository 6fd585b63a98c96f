package child

import "syscall"

// attributes also let the kernel kill the child when this process dies without a chance to do so itself.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
