// Opening the link is the opt-out, but only for somebody who really looks at the page: previews, prefetched
// and hidden tabs show it to nobody. The button stays for everything this script does not know.
(function () {
  "use strict";
  var LOOKING = 400; // ms; previews and prerendered pages are dropped or hidden before
  var form = document.getElementById("opt-out");
  if (!form || !("IntersectionObserver" in window)) return;
  var mark = "sent " + form.action;
  var seen = false;
  var timer;

  // "Back" leads here again after she has undone it; the same tab fires once.
  function alreadySent(sending) {
    try {
      if (sending) sessionStorage.setItem(mark, "1");
      return sessionStorage.getItem(mark) === "1";
    } catch (error) {
      return false;
    }
  }

  function looksAtIt() {
    return seen && document.visibilityState === "visible" && !document.prerendering;
  }

  function send() {
    requestAnimationFrame(function () {
      requestAnimationFrame(function () {
        if (!looksAtIt() || alreadySent(false)) return;
        alreadySent(true);
        form.submit();
      });
    });
  }

  function check() {
    clearTimeout(timer);
    if (looksAtIt()) timer = setTimeout(send, LOOKING);
  }

  new IntersectionObserver(function (entries) {
    seen = entries[entries.length - 1].isIntersecting;
    check();
  }).observe(form);
  document.addEventListener("visibilitychange", check);
  document.addEventListener("prerenderingchange", check);
})();
