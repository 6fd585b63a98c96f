package main

import isthmusv1 "isthmus/proto/isthmus/v1"

// PrintProblem lets tests see how an error shows that no canned server can cause.
func (p Program) PrintProblem(err error) { p.printProblem(err) }

// DoctorTable lets tests see findings that no fleet of theirs has.
func (p Program) DoctorTable(report *isthmusv1.DoctorReport) error { return p.doctorTable(report) }
