// Files dropped anywhere on the page go to the studio's upload button, whose hidden input viser makes.
(() => {
  const input = () => document.querySelector('input[type="file"]');
  const sign = document.createElement("div");
  sign.setAttribute("role", "status");
  sign.style.cssText =
    "position:fixed;inset:12px;z-index:99999;display:none;place-items:center;pointer-events:none;border-radius:12px;" +
    "border:3px dashed #2a6fdb;background:rgba(42,111,219,.12);font:600 20px system-ui;color:#123a78";
  sign.textContent = "Drop an avatar, photo, video, sound or motion file";
  // On phones viser's sheet covers two thirds of the width and of the height: let it be wide and low.
  const style = document.createElement("style");
  style.textContent =
    '@media (max-width: 36em) { div[style*="width: 20em"] { width: 100vw !important; max-width: 100vw !important } ' +
    'div[style*="max-height: 60%"] { max-height: 48% !important } }';
  document.head.append(style);
  document.body.append(sign);
  const files = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
  let inside = 0;
  const show = (on) => (sign.style.display = on ? "grid" : "none");
  addEventListener("dragenter", (e) => { if (files(e)) { inside++; show(true); e.preventDefault(); } }, true);
  addEventListener("dragleave", (e) => { if (files(e) && --inside <= 0) { inside = 0; show(false); } }, true);
  addEventListener("dragover", (e) => { if (files(e)) e.preventDefault(); }, true);
  addEventListener("drop", (e) => {
    if (!files(e)) return;
    e.preventDefault();
    e.stopPropagation();
    inside = 0;
    show(false);
    const target = input();
    if (!target) return;
    // One after another: viser's button takes a single file.
    [...e.dataTransfer.files].forEach((file, i) => setTimeout(() => {
      const held = new DataTransfer();
      held.items.add(file);
      target.files = held.files;
      target.dispatchEvent(new Event("change", { bubbles: true }));
    }, 400 * i));
  }, true);
})();
