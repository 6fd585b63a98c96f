// Package doctor asks everything of a fleet that has an answer, and says what to do about what is not well.
//
// Owns: the list of checks with their ids, what makes each pass or fail, what is done about it; the order in which they are shown.
// Does not own: how facts arrive (server/evidence), the rules of federations (federation), the verdict on a connection (connection), what
// only the command line sees, such as a server that does not answer (cmd/isthmus); it has the ids of that, too, so that there is one list.
// Pure: the clock is an argument. Start reading at Checks, then catalog.
//
//	resources + reports + clock ──▶ Checks ──▶ of each id: pass, fail or unknown, for a datacenter or a pair, with the fix
//
// What the agents of a silent datacenter said last is no proof: it is unknown, never pass. What does not concern a datacenter (the gateways
// of one that needs none) is not asked of it.
package doctor
