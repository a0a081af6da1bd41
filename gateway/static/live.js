// Keeps the part of the page with the id "live" up to date while something runs. A page that reloads itself
// would take readers of screens back to its top each time.
(function () {
  "use strict";
  const EVERY = 3000; // ms

  async function refresh() {
    if (document.hidden) return;
    const answer = await fetch(location.href).catch(() => null);
    if (!answer || !answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("live");
    if (fresh) document.getElementById("live").replaceWith(fresh);
    if (!page.querySelector('script[src="/static/live.js"]')) clearInterval(timer);
  }

  const timer = setInterval(refresh, EVERY);
})();
