// Package port keeps a TCP port of this machine free for another process that is told to listen on it.
//
// To find a free port by listening on one and closing it leaves a gap in which it can be lost: to another listener, to a
// connection that goes out, or again whenever that process is restarted. A Held port is bound the whole time, but not
// listened on. Linux lets somebody who names such a port listen on it, and gives it to nobody who asks for any.
package port
