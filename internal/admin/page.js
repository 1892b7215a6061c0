'use strict';
// Asks /status every two seconds while the page is seen, and writes what changed.
const get = (id) => document.getElementById(id);
const write = (node, text) => { if (node.textContent !== text) node.textContent = text; };

function chart(samples, slots) {
  const width = 300, height = 56, known = samples.filter((v) => v !== null);
  const low = Math.min(0, ...known), span = (Math.max(0, ...known) - low) * 1.1 || 1;
  const x = (i) => +(width - (samples.length - 1 - i) * width / (slots - 1)).toFixed(1);
  let line = '', area = '', first = null;
  samples.forEach((v, i) => {
    if (v === null) { first = null; return; }
    const y = +(height - 1 - (v - low) / span * (height - 2)).toFixed(1);
    line += (first === null ? 'M' : 'L') + x(i) + ',' + y;
    first = first === null ? x(i) : first;
    area += (area && !area.endsWith('Z') ? 'L' : 'M') + x(i) + ',' + y;
    if (i + 1 === samples.length || samples[i + 1] === null) area += 'L' + x(i) + ',' + height + 'L' + first + ',' + height + 'Z';
  });
  return [line, area];
}

function fill(body, rows, heads) {
  const fresh = rows.map((cells) => {
    const tr = document.createElement('tr');
    tr.setAttribute('role', 'row');
    cells.forEach((cell, i) => {
      const node = document.createElement(i ? 'td' : 'th');
      if (i) node.dataset.label = heads[i]; else node.scope = 'row';
      node.setAttribute('role', i ? 'cell' : 'rowheader');
      node.textContent = cell.text === undefined ? cell : cell.text;
      if (cell.style) node.className = cell.style;
      tr.append(node);
    });
    return tr;
  });
  if (fresh.map((r) => r.outerHTML).join('') !== body.innerHTML) body.replaceChildren(...fresh);
}

function show(s) {
  const tables = document.querySelectorAll('[data-table]'), figures = document.querySelectorAll('[data-figure]');
  if (tables.length !== s.tables.length || figures.length !== s.figures.length) { location.reload(); return; }
  get('state').className = 'state ' + s.mood;
  write(get('title'), s.title);
  write(get('sentence'), s.sentence);
  write(get('uptime'), s.uptime);
  figures.forEach((node, i) => {
    const f = s.figures[i], [line, area] = chart(f.samples, s.sample_count);
    write(node.querySelector('b'), f.number);
    write(node.querySelector('i'), f.unit);
    write(node.querySelector('small'), 'peak ' + f.peak);
    node.querySelector('.line').setAttribute('d', line);
    node.querySelector('.area').setAttribute('d', area);
    node.querySelector('svg').setAttribute('aria-label', f.label);
  });
  fill(get('checks'), s.checks.map((c) => [c.name, c.counts, { text: c.ok ? 'ok' : c.reason, style: 'mark ' + c.mood }]), ['', 'Counts for', 'State']);
  tables.forEach((node, i) => fill(node, s.tables[i].rows || [], s.tables[i].head));
}

async function turn() {
  const live = get('live');
  if (!document.hidden) {
    try {
      const answer = await fetch('/status', { cache: 'no-store' });
      if (!answer.ok) throw new Error(answer.status);
      show(await answer.json());
      live.className = 'live on';
      write(live, 'live');
    } catch {
      if (!live.classList.contains('lost')) write(live, 'no answer since ' + new Date().toLocaleTimeString());
      live.className = 'live lost';
    }
  }
  setTimeout(turn, 2000);
}
turn();
