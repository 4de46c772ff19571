// The status page while it is open: follows what happens, and does what its buttons say.
'use strict';

// A beat comes every second; a node that is silent for so long does not answer.
const silenceMs = 2500;
const retryMs = 1000;
const token = {
  get: () => sessionStorage.getItem('p2psync-token'),
  set: (value) => sessionStorage.setItem('p2psync-token', value),
  drop: () => sessionStorage.removeItem('p2psync-token'),
};
const $ = (id) => document.getElementById(id);
const readOnly = $('may').cloneNode(true);

// Times stand in UTC for those without a script.
function localise(part) {
  for (const time of part.querySelectorAll('time')) {
    const at = new Date(time.dateTime);
    if (!isNaN(at)) {
      const today = at.toDateString() === new Date().toDateString();
      time.textContent = today ? at.toLocaleTimeString() : at.toLocaleString();
    }
  }
}

function allow(part) {
  for (const button of part.querySelectorAll('button[data-post]')) button.disabled = !token.get();
}

// Makes what stands there equal to what is fresh, and touches nothing that is: the focus, a selection and what a screen
// reader is at stay where they are.
function patch(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) {
    old.replaceWith(fresh);
    return;
  }
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = fresh.nodeValue;
    return;
  }
  for (const {name} of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const {name, value} of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const keyOf = (node) => (node.dataset && node.dataset.key !== undefined ? node.dataset.key : null);
  let at = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    let same = at;
    const key = keyOf(next);
    if (key !== null) {
      while (same && keyOf(same) !== key) same = same.nextSibling;
      if (same && same !== at) {  // those in between are gone, most likely
        old.insertBefore(same, at);
      }
    } else if (at && keyOf(at) !== null) {
      same = null;
    }
    if (!same) {
      old.insertBefore(next, at);
      continue;
    }
    const after = same === at ? at.nextSibling : at;
    patch(same, next);
    at = after;
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function take({id, html}) {
  const template = document.createElement('template');
  template.innerHTML = html;
  const fresh = template.content.firstElementChild;
  localise(fresh);
  allow(fresh);
  if ($(id)) patch($(id), fresh);
}

// Following: only while somebody looks.
let source = null;
let heard = 0;
let failed = 0;  // connections in a row
let silent = false;

function hear() {
  heard = Date.now();
  failed = 0;
  if (silent) {
    silent = false;
    $('lost').hidden = true;
    document.title = document.title.replace(/ \(no answer\)$/, '');
  }
}

function miss() {
  if (!silent) {
    silent = true;
    const node = document.querySelector('h1').firstChild.textContent.trim();
    $('lost').textContent =
        `${node} does not answer. What stands here is of ${new Date(heard).toLocaleTimeString()}.`;
    $('lost').hidden = false;
    document.title += ' (no answer)';
  }
}

function follow() {
  if (document.hidden || source) return;
  source = new EventSource('events');
  source.addEventListener('part', (event) => { hear(); take(JSON.parse(event.data)); });
  source.addEventListener('beat', hear);
  source.onerror = () => {
    leave();
    if (++failed > 1) miss();
    setTimeout(follow, retryMs);
  };
}

function leave() {
  if (source) source.close();
  source = null;
}

if (document.body.dataset.page === 'live') {
  const look = () => {
    heard = Date.now();
    follow();
  };
  document.addEventListener('visibilitychange', () => (document.hidden ? leave() : look()));
  setInterval(() => {
    if (!document.hidden && Date.now() - heard > silenceMs) miss();
  }, 250);
  look();
}

// Changing something: with the token that `p2psync page` hands over behind '#', where no server sees it.
async function post(path, body) {
  const answer = await fetch(path, {
    method: 'POST',
    headers: {'Content-Type': 'application/json', 'Authorization': `Bearer ${token.get()}`},
    body: JSON.stringify(body),
  });
  const said = await answer.json();
  if (answer.status === 403) forget();
  if (!answer.ok) throw new Error(said.error);
  return said;
}

function forget() {
  token.drop();
  $('may').replaceWith(readOnly.cloneNode(true));
  allow(document);
}

function showToken() {
  if (token.get()) {
    $('may').textContent = 'This page may end conflicts. ';
    const button = document.createElement('button');
    button.textContent = 'Make it read-only';
    button.type = 'button';
    button.onclick = forget;
    $('may').append(button);
  }
  allow(document);
}

async function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given) {
    token.set(given);
    history.replaceState(null, '', location.pathname + location.search);
  }
  if (token.get()) {
    try {
      await post('api/token', {});
    } catch (error) {
      $('outcome').textContent = error.message;
    }
  }
  showToken();
}

// A path that is not UTF-8 goes back as it came.
function pathOf(button, name) {
  const bytes = button.getAttribute(`data-${name}-bytes`);
  return {[name]: button.getAttribute(`data-${name}`), ...(bytes ? {[`${name}_bytes`]: bytes} : {})};
}

document.addEventListener('click', async (event) => {
  const button = event.target.closest('button[data-post]');
  if (!button) return;
  const outcome = $('outcome');
  const path = button.dataset.post;
  for (const other of document.querySelectorAll('button[data-post]')) other.disabled = true;
  outcome.textContent = 'Just a moment.';
  try {
    if (path === 'api/resolve') {
      const said = await post(path, {
        ...pathOf(button, 'path'), ...pathOf(button, 'keep'), seen: JSON.parse(button.dataset.seen)});
      outcome.textContent = `Done: ${button.dataset.path} holds what ${said.kept} held` +
          (said.laid_out ? '.' : ', as soon as the disk has taken it.');
    } else {
      const undo = button.hasAttribute('data-undo');
      const said = await post(path, {undo});
      outcome.textContent = `Done: ${said.deletions} deletions ${undo ? 'undone' : 'confirmed'}.`;
    }
  } catch (error) {
    outcome.textContent = `Not done: ${error.message}`;
    allow(document);
  }
});

addEventListener('hashchange', takeToken);
localise(document);
takeToken();
