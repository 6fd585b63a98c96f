package main

// PrintProblem lets tests see how an error shows that no canned server can cause.
func (p Program) PrintProblem(err error) { p.printProblem(err) }
