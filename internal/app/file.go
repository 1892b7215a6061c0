// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"go.yaml.in/yaml/v3"
)

// configFile is the YAML file: settings by flag name and the program's rules,
// side by side at the top level.
type configFile struct {
	path     string
	data     []byte
	settings map[string]*yaml.Node
}

// position names a place in the file, as compilers do.
func (f *configFile) position(n *yaml.Node) string {
	return f.path + ":" + strconv.Itoa(n.Line)
}

// loadFile finds, reads and sorts out the YAML file.
func (p *parser) loadFile(where configPath) {
	path, explicit := where.path, where.explicit
	if path == "" || p.readFile == nil {
		return
	}
	data, err := p.readFile(path)
	if errors.Is(err, fs.ErrNotExist) && !explicit {
		return
	}
	p.file.path, p.report.file = path, path
	if err != nil {
		p.report.Errorf("config", "cannot read %s: %w%s", path, unwrapPath(err), fileHint(path, err))
		return
	}
	p.file.data = data
	p.sortKeys()
	for _, err := range p.decodeRules(p.spec.File) {
		if !p.report.has(err) {
			p.report.add("", fromFile, err)
		}
	}
}

// configPath is where the file is and whether the user said so.
type configPath struct {
	path     string
	explicit bool
}

// sortKeys reads the file's top level: each key is a setting, a rule or wrong.
func (p *parser) sortKeys() {
	var doc yaml.Node
	if err := yaml.Unmarshal(p.file.data, &doc); err != nil {
		p.report.add("", fromFile, fmt.Errorf("%s: not YAML: %s", p.file.path, strings.TrimPrefix(err.Error(), "yaml: ")))
		p.file.data = nil
		return
	}
	if len(doc.Content) == 0 {
		return // empty, or comments only
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		p.report.add("", fromFile, fmt.Errorf("%s: not a mapping; use lines such as \"log-level: debug\"", p.file.position(root)))
		p.file.data = nil
		return
	}
	rules := yamlFields(p.spec.File)
	known := slices.Concat(rules, p.settingNames())
	lines := map[string]int{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		name := key.Value
		s := p.settings[name]
		if lines[name] == 0 {
			lines[name] = key.Line
		}
		switch {
		case lines[name] != key.Line: // in the words of the decoder of the rules
			p.report.add("", fromFile, fmt.Errorf("%s: mapping key %q already defined at line %d", p.file.position(key), name, lines[name]))
		case slices.Contains(rules, name):
		case s != nil && s.env != "" && name != "config":
			p.file.settings[name] = value
		default:
			p.report.add("", fromFile, fmt.Errorf("%s: unknown key %q%s", p.file.position(key), name, didYouMean(name, known)))
		}
	}
}

// settingNames returns the names of all flags that are settings.
func (p *parser) settingNames() []string {
	var names []string
	for _, s := range p.order {
		if s.env != "" {
			names = append(names, s.name)
		}
	}
	return names
}

// decodeRules decodes the rules into a pointer to the program's struct, which
// may be nil. Fields that it does not have are errors.
func (p *parser) decodeRules(into any) []error {
	if into == nil || len(bytes.TrimSpace(p.file.data)) == 0 {
		return nil
	}
	d := yaml.NewDecoder(bytes.NewReader(p.file.data))
	d.KnownFields(true)
	err := d.Decode(into)
	if err == nil {
		return nil
	}
	typeErr, ok := errors.AsType[*yaml.TypeError](err)
	if !ok {
		if err.Error() == "EOF" {
			return nil
		}
		return []error{fmt.Errorf("%s: %w", p.file.path, err)}
	}
	// The top level's unknown keys are settings, or sortKeys has reported them.
	root := "not found in type " + reflect.TypeOf(into).Elem().String()
	var errs []error
	for _, text := range typeErr.Errors {
		if strings.HasSuffix(text, root) {
			continue
		}
		line, text, _ := strings.Cut(strings.TrimPrefix(text, "line "), ": ")
		errs = append(errs, fmt.Errorf("%s:%s: %s", p.file.path, line, redactURLs(plainTypeError(text))))
	}
	return errs
}

// plainTypeError takes the names of Go types out of a message of the decoder.
func plainTypeError(text string) string {
	if field, _, ok := strings.Cut(strings.TrimPrefix(text, "field "), " not found in type "); ok {
		return "unknown key " + strconv.Quote(field)
	}
	if what, into, ok := strings.Cut(text, " into "); ok {
		_, value, _ := strings.Cut(what, "`")
		return "`" + value + " does not fit here; use " + shape(into)
	}
	return text
}

// shape says in words what YAML a Go type takes.
func shape(goType string) string {
	switch goType = strings.TrimLeft(goType, "*"); {
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	case strings.HasPrefix(goType, "map["), strings.HasPrefix(goType, "struct"):
		return "a mapping"
	case strings.HasPrefix(goType, "int"), strings.HasPrefix(goType, "uint"):
		return "a whole number"
	case strings.HasPrefix(goType, "float"):
		return "a number"
	case goType == "bool":
		return "true or false"
	case goType == "time.Duration":
		return "a number with a unit, such as 500ms, 25s or 5m"
	case goType == "string":
		return "a text"
	default:
		return "what the README's section about the file shows"
	}
}

// yamlFields returns the top-level keys of a pointer to a struct.
func yamlFields(rules any) []string {
	var names []string
	if rules == nil {
		return nil
	}
	for f := range reflect.TypeOf(rules).Elem().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "" {
			name = strings.ToLower(f.Name)
		}
		if f.IsExported() && name != "-" {
			names = append(names, name)
		}
	}
	return names
}

// unwrapPath returns the cause without the path, which the message names.
func unwrapPath(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}

// fileHint says how to mend an unreadable file.
func fileHint(path string, err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		info, statErr := os.Stat(path)
		if statErr != nil {
			return "; a directory above it is closed to this user"
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return ""
		}
		return fmt.Sprintf("; it belongs to user %d and group %d with mode %04o, and this process is user %d: set runAsUser: %d or fsGroup: %d, or widen the mode",
			st.Uid, st.Gid, info.Mode().Perm(), os.Getuid(), st.Uid, st.Gid)
	case errors.Is(err, fs.ErrNotExist):
		return "; check the path and the mount"
	default:
		return ""
	}
}
