package bitbucketsim

// DropConnections closes the connections on which no request is running, so that the next request of a client needs a
// new one and sees the present certificate.
func (s *Server) DropConnections() {
	s.http.SetKeepAlivesEnabled(false)
	s.http.SetKeepAlivesEnabled(true)
}
