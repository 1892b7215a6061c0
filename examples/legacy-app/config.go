// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// config is the content of the configuration file, a line `key = value` each; `#` starts a comment.
type config struct {
	Title          string // "title": the headline of the page
	Greeting       string // "greeting": the line below it
	LogLevel       level  // "log_level": debug, info, warn or error
	SessionMinutes int    // "session_minutes": an idle session ends after this
	Maintenance    bool   // "maintenance": /status says DOWN (and still answers 200)

	ReadAt  time.Time
	Unknown []string // keys nobody knows, which an old application merely grumbles about
}

func defaultConfig() *config {
	return &config{
		Title:          "Boathouse",
		Greeting:       "Twenty boats, one ledger, no TLS.",
		LogLevel:       levelInfo,
		SessionMinutes: 30,
		ReadAt:         time.Now(),
	}
}

// readConfig reads path over the defaults; an empty path is the defaults alone.
func readConfig(path string) (*config, error) {
	if path == "" {
		return defaultConfig(), nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read -config: %w", err)
	}
	c, err := parseConfig(string(data))
	if err != nil {
		return nil, fmt.Errorf("cannot parse %s: %w", path, err)
	}
	return c, nil
}

func parseConfig(text string) (*config, error) {
	c := defaultConfig()
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, found := strings.Cut(line, "=")
		if !found {
			return nil, fmt.Errorf("line %d: %q is not key = value", number, line)
		}
		if err := c.set(strings.TrimSpace(key), strings.TrimSpace(value)); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	return c, nil
}

func (c *config) set(key, value string) (err error) {
	switch key {
	case "title":
		c.Title = value
	case "greeting":
		c.Greeting = value
	case "log_level":
		c.LogLevel, err = parseLevel(value)
	case "session_minutes":
		c.SessionMinutes, err = strconv.Atoi(value)
		if err == nil && c.SessionMinutes < 1 {
			err = fmt.Errorf("session_minutes is %s: must be above zero", value)
		}
	case "maintenance":
		c.Maintenance, err = strconv.ParseBool(value)
	default:
		c.Unknown = append(c.Unknown, key)
	}
	return err
}

// String is the file that would give c, as /config shows it.
func (c *config) String() string {
	return fmt.Sprintf("title = %s\ngreeting = %s\nlog_level = %s\nsession_minutes = %d\nmaintenance = %t\n",
		c.Title, c.Greeting, strings.ToLower(c.LogLevel.String()), c.SessionMinutes, c.Maintenance)
}

// reload is SIGHUP: a file that cannot be used leaves everything as it was.
func (a *app) reload() {
	c, err := readConfig(a.opts.configFile)
	if err != nil {
		a.stats.reloadFailures.Add(1)
		a.logs.Error("Config", "keeping the old configuration: %v", err)
		return
	}
	a.use(c)
	a.stats.reloads.Add(1)
	a.logs.Info("Config", "configuration read again")
}

func (a *app) use(c *config) {
	a.config.Store(c)
	a.logs.SetLevel(c.LogLevel)
	for _, key := range c.Unknown {
		a.logs.Warn("Config", "unknown key %q ignored", key)
	}
}
