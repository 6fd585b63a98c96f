// Package bench measures what a user of isthmus would ask about, on the real thing: the isthmus binary as processes, real
// Consul servers, real files. `make bench` runs it and prints one table, which the README states with the machine.
//
// Owns: what is measured and how, and the aim of each figure. Does not own: micro-benchmarks, which stand beside the code
// that they measure. Start reading at main_test.go; fleet_test.go runs the processes.
package bench
