// Pictures, clips, the snippet that embeds the page, and what an avatar says of its origin.
import type { Player } from "../player";
import { el, icon, section } from "./dom";

export class ShareTab {
  readonly root = el("div", { class: "tab" });

  constructor(private readonly player: Player, private readonly picture: () => void, private readonly record: () => void) {
    player.addEventListener("scene", () => this.build());
  }

  private build(): void {
    const { player } = this, about = player.header?.about ?? {};
    const snippet = el("textarea", { readonly: true, rows: 4, "aria-label": "Embed snippet" },
      `<iframe src="${fileName()}?ui=0&play=1" width="480" height="480"\n  style="border:0" allow="microphone; camera; fullscreen"\n  title="${player.title.replace(/"/g, "&quot;")}"></iframe>`);
    const call = el("textarea", { readonly: true, rows: 3, "aria-label": "Script example" },
      `frame.contentWindow.postMessage(\n  { avatar3d: { set: { jawOpen: 0.5, headYaw: 15 } } }, "*");`);
    this.root.replaceChildren(
      section("Save", el("button", { type: "button", class: "wide", onclick: this.picture }, icon("camera"), "Picture (PNG)"),
        el("button", { type: "button", class: "wide", onclick: this.record }, icon("record"), "Clip (WebM): start or stop"),
        el("p", { class: "hint" }, "Choose the transparent background for a picture that can be laid over others.")),
      section("Embed", el("p", { class: "hint" }, "Put this file beside your page, and this into the page:"), snippet, this.copy(snippet),
        el("p", { class: "hint" }, "Move the face from your own script:"), call, this.copy(call)),
      section("About", this.facts({ Splats: player.stage.count.toLocaleString("en"), Source: about.source, "Made with": about.made_with, Consent: about.consent, Licence: about.licence ?? about.license, Synthetic: about.synthetic }),
        el("p", { class: "hint" }, "This page works offline and makes no request to any other computer.")));
  }

  private copy(field: HTMLTextAreaElement): HTMLElement {
    return el("button", { type: "button", class: "wide", onclick: async () => {
      try {
        await navigator.clipboard.writeText(field.value);
      } catch {
        field.select();
        document.execCommand("copy");
      }
      this.player.tell("note", "Copied");
    } }, icon("copy"), "Copy");
  }

  private facts(facts: Record<string, unknown>): HTMLElement {
    return el("dl", { class: "facts" }, ...Object.entries(facts).filter(([, x]) => x !== undefined && x !== null && x !== "").flatMap(([name, x]) => [el("dt", {}, name), el("dd", {}, typeof x === "object" ? JSON.stringify(x) : String(x))]));
  }
}

/** The page's own name, as somebody would upload it. */
function fileName(): string {
  return decodeURIComponent(location.pathname.split("/").pop() || "avatar.html");
}
