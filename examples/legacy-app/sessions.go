// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"net/http"
	"sync"
	"time"
)

// cookieName is the session cookie.
const cookieName = "BOATHOUSESESSION"

// maxSessions bounds memory: beyond it, signing in ends some other session.
const maxSessions = 10_000

// sessions remembers who signed in, in memory: a restart signs everybody out.
type sessions struct {
	mu      sync.Mutex
	byID    map[string]*session
	created int64
}

type session struct {
	name string
	seen time.Time
}

func newSessions() *sessions { return &sessions{byID: map[string]*session{}} }

func (s *sessions) begin(name string) (id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.byID) >= maxSessions {
		for any := range s.byID {
			delete(s.byID, any)
			break
		}
	}
	id = rand.Text()
	s.byID[id] = &session{name: name, seen: time.Now()}
	s.created++
	return id
}

// visitor is the name behind the request's cookie, "" if it has none that is known.
func (s *sessions) visitor(r *http.Request) string {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.byID[cookie.Value]
	if found == nil {
		return ""
	}
	found.seen = time.Now()
	return found.name
}

func (s *sessions) end(r *http.Request) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, cookie.Value)
}

// sweep ends the sessions last seen before then and returns how many.
func (s *sessions) sweep(then time.Time) (ended int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, one := range s.byID {
		if one.seen.Before(then) {
			delete(s.byID, id)
			ended++
		}
	}
	return ended
}

func (s *sessions) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byID)
}

func (s *sessions) total() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.created
}
