// Package alert says who is told about what, and sees to it that they are told once.
//
// The idea is an outbox: a message is a row under a dedupe key, stored with the job that sends it in the transaction that
// made it necessary. The job renders the mail from what the database then says, sends it, and marks the row sent in the
// transaction that completes the job. Its Message-ID follows from the row's id, so the one case in which a mail can leave
// twice, a crash between the server's answer and our note of it, is recognisable.
//
// While no mail server is configured rows wait; Resume gives them jobs when there is one. What a mail server will never take
// is marked failed with the reason, and so is what nobody could deliver within a day.
//
// Where a webhook or chat is configured it is told about each incident that opens or opens again, and about a token that keeps
// Magpie from its work, by the same outbox and the same rules; its rows carry their channel.
//
// A mail shows the masked value, never the secret: the package has no key to open one.
package alert
