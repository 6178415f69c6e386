// What the pages can't do without a script: nothing. What is nicer with one: live parts rest while nobody looks and say
// when the server is gone, "/" jumps to the search, filters apply as they are chosen, values can be copied.
(() => {
  'use strict';
  document.documentElement.classList.add('js');

  const live = () => document.getElementById('live');
  const isLive = (ctx) => ctx?.sourceElement?.id === 'live';

  // Live parts: no requests from a hidden tab, an immediate one when it is looked at again.
  document.addEventListener('htmx:before:request', (event) => {
    if (isLive(event.detail.ctx) && document.hidden) event.preventDefault();
  });
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) live()?.dispatchEvent(new CustomEvent('every'));
  });

  const setOffline = (offline) => {
    const box = document.getElementById('offline');
    if (box) box.hidden = !offline;
  };
  document.addEventListener('htmx:error', (event) => { if (isLive(event.detail.ctx)) setOffline(true); });
  document.addEventListener('htmx:response:error', (event) => {
    const { ctx } = event.detail;
    if (isLive(ctx)) setOffline(ctx.response.status >= 500);
  });
  document.addEventListener('htmx:after:swap', () => setOffline(false));

  // Filters: unused ones stay out of the address.
  document.addEventListener('htmx:config:request', (event) => {
    const { ctx } = event.detail;
    const body = ctx.request.body;
    if (ctx.request.method !== 'GET' || !(body instanceof FormData)) return;
    for (const [name, value] of [...body]) if (value === '') body.delete(name);
  });

  document.addEventListener('keydown', (event) => {
    if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest('input, select, textarea, [contenteditable]')) return;
    const search = document.querySelector('input[type="search"]');
    if (!search) return;
    event.preventDefault();
    search.focus();
    search.select();
  });

  document.addEventListener('click', async (event) => {
    const button = event.target.closest('[data-copy]');
    if (!button) return;
    const source = document.getElementById(button.dataset.copy);
    if (!source || !navigator.clipboard) return;
    await navigator.clipboard.writeText(source.textContent.trim());
    const label = button.querySelector('span');
    if (!label) return;
    const before = label.textContent;
    label.textContent = 'Copied';
    setTimeout(() => { label.textContent = before; }, 1500);
  });

  // "Select all" boxes of a form's named checkboxes.
  document.addEventListener('change', (event) => {
    const all = event.target.closest('[data-all]');
    if (!all) return;
    for (const box of document.querySelectorAll(all.dataset.all)) box.checked = all.checked;
  });
})();
