// Shows the title of what is under the pointer at once; without this script the browser shows it after a while.
(function () {
  var tip = document.createElement("div"), shown = null, text = "", title = null;
  tip.id = "tip";
  tip.hidden = true;
  document.body.appendChild(tip);
  function leave() {
    if (title) { title.textContent = text; }
    shown = title = null;
    tip.hidden = true;
  }
  document.addEventListener("pointermove", function (event) {
    var group = event.target.closest ? event.target.closest("g.tt") : null;
    if (group !== shown) {
      leave();
      if (group) {
        shown = group;
        title = group.querySelector("title");
        text = title.textContent;
        // Not twice.
        title.textContent = "";
        tip.textContent = text;
        tip.hidden = false;
      }
    }
    if (shown) {
      var box = tip.getBoundingClientRect();
      var x = Math.min(event.clientX + 14, innerWidth - box.width - 6);
      var y = event.clientY + 18;
      if (y + box.height > innerHeight) { y = event.clientY - box.height - 10; }
      tip.style.left = Math.max(4, x) + "px";
      tip.style.top = y + "px";
    }
  });
  document.addEventListener("pointerleave", leave);
})();
