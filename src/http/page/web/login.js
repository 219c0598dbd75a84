// Secrets: who has none is asked for one where the cluster has set them.

import * as api from "./api.js";
import { $, put } from "./dom.js";

const UNAUTHORIZED = 401;

export class Login {
  constructor() {
    this.rights = { read: true, write: false };
    this.box = $("login");
    $("login-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.present($("secret").value);
    });
    $("login-cancel").addEventListener("click", () => this.box.close());
    // Who may not even read has nothing to go back to.
    this.box.addEventListener("cancel", (event) => {
      if (!this.rights.read) event.preventDefault();
    });
    $("lock").addEventListener("click", () => this.lock());
  }

  /** Learns what may be done; asks for a secret until something may be read. */
  async check() {
    try {
      this.rights = await api.json("/api/v1/access");
    } catch (error) {
      if (error.status !== UNAUTHORIZED) throw error;
      api.secret.forget();
      this.rights = { read: false, write: false };
      put($("login-error"), "The secret is not known here.");
    }
    this.paint();
    if (!this.rights.read) await this.ask();
  }

  paint() {
    const { read, write } = this.rights;
    const isIn = api.secret.get() !== "";
    document.body.classList.toggle("read-only", read && !write);
    $("lock").hidden = !isIn && write;
    put($("lock"), isIn ? "Log out" : "Log in");
    $("rights").hidden = write || !read;
  }

  /** Opens the box, and waits until somebody may read. */
  ask() {
    $("login-cancel").hidden = !this.rights.read;
    if (!this.box.open) this.box.showModal();
    $("secret").focus();
    this.asking ??= new Promise((done) => {
      this.done = done;
    });
    return this.asking;
  }

  async present(text) {
    const before = api.secret.get();
    api.secret.set(text);
    try {
      const rights = await api.json("/api/v1/access");
      if (!rights.read) throw new api.Failure({ message: "A secret is needed.", status: UNAUTHORIZED });
      this.rights = rights;
    } catch (error) {
      if (before === "") api.secret.forget();
      else api.secret.set(before);
      put($("login-error"), error.status === UNAUTHORIZED ? "That is not the secret." : error.message);
      $("secret").select();
      return;
    }
    $("secret").value = "";
    put($("login-error"), "");
    this.box.close();
    this.paint();
    this.done?.();
    this.asking = undefined;
    this.onchange?.();
  }

  lock() {
    if (api.secret.get() === "") return void this.ask();
    api.secret.forget();
    location.reload();
  }
}
