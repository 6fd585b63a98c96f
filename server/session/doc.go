// Package session lets people stay logged in with a browser.
//
// Owns: what a session is, when it ends, how it is sealed into a cookie that every replica opens, SessionService, and what the
// audit log hears of logins. Does not own: who a session's subject is and what they may do (auth), cookies, origins and the
// CSRF header themselves (rest). Start reading at Keeper.
//
//	API token ──▶ Service.CreateSession ──▶ Keeper.Begin for a Subject ──▶ sealed ──▶ cookie, set by rest
//	cookie    ──▶ rest ──▶ Keeper.Open ──▶ auth.Guard: is the Subject still there? ──▶ the call
//
// Another way to log in, such as single sign-on, ends in the same Keeper.Begin, with a kind of Subject that auth knows.
//
// Servers keep no sessions. What a session is stands in the cookie; the key that seals it is derived from the server key, so
// that replicas and restarts agree. Those that were logged out stand in the audit log, by a mark of their id; every replica reads
// it there, within a second or when it starts, and remembers it until they would have ended.
package session
