// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func TestFiguresKeepTheLastFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Program: "p"})
		gauge, counter := 0.0, 100.0
		s.Figure(Figure{Title: "gauge", Value: func() float64 { gauge++; return gauge }})
		s.Figure(Figure{Title: "counter", Rate: true, Value: func() float64 { counter += 10; return counter }})
		s.tasks.Go(s.sample)
		time.Sleep(time.Hour + time.Second)
		st := s.status(time.Now())
		g, c := st.Figures[0], st.Figures[1]
		if len(g.Samples) != sampleCount || g.Samples[0] != number(gauge)-sampleCount+1 || g.Value != number(gauge) {
			t.Errorf("%d samples from %v to %v, now %v", len(g.Samples), g.Samples[0], g.Value, gauge)
		}
		if c.Value != 5 || c.Samples[0] != 5 || c.Number != "5" || c.Unit != "per s" {
			t.Errorf("10 each %s: %+v", samplePeriod, c)
		}
		if len(st.Figures) != 4 || st.Figures[2].Title != "Memory" || st.Figures[3].Title != "Processor" {
			t.Errorf("%+v", st.Figures)
		}
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestACounterThatBeginsAgainNeverFalls(t *testing.T) {
	f := &series{Figure: Figure{Rate: true}}
	now := time.Now()
	at := func(value float64, seconds int) float64 {
		return f.perSecond(value, now.Add(time.Duration(seconds)*time.Second))
	}
	if got := at(1000, 0); !math.IsNaN(got) {
		t.Errorf("the first look: %v", got)
	}
	if got := at(1020, 2); got != 10 {
		t.Errorf("%v", got)
	}
	if got := at(20, 4); got != 10 {
		t.Errorf("after it began again: %v", got)
	}
}

func TestOwnFiguresHaveValues(t *testing.T) {
	if got := residentBytes(); !(got > 1e6 && got < 1e12) {
		t.Errorf("memory %v", got)
	}
	if got := processorPercent(); !(got > 0) {
		t.Errorf("processor %v", got)
	}
}
