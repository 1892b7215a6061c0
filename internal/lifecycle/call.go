// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"
)

// call is a function of an actor that runs in its own goroutine.
type call struct {
	Actor
	done chan struct{} // closed when the function has returned
	err  error         // what it returned; read only after done
}

// call starts f for an actor.
func (g *Group) call(a Actor, f func() error) *call {
	c := &call{Actor: a, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.err = guard(g.log, a.Name, f)
	}()
	return c
}

// ended reports whether the function has returned.
func (c *call) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// ok reports whether the function has returned without error.
func (c *call) ok() bool { return c.ended() && c.err == nil }

// wait waits until every call has ended or the time has come.
func wait(calls []*call, until time.Time) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	for _, c := range calls {
		select {
		case <-c.done:
		case <-timer.C:
			return
		}
	}
}

// pending returns the names of the actors whose call has not ended.
func pending(calls []*call) []string {
	var list []string
	for _, c := range calls {
		if !c.ended() {
			list = append(list, c.Name)
		}
	}
	return list
}

// guard calls f and turns a panic into an error. The stack goes to the log: it is for who mends the program, the error for
// who runs it.
func guard(log *slog.Logger, name string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			log.Error("panic", "in", name, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return f()
}
