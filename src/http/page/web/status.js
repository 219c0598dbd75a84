// How the cluster is, asked again and again, and what has become of it since.

import * as api from "./api.js";

/** Between two questions, in milliseconds; fewer are asked where nobody looks. */
const PERIOD = 400;
const PERIOD_HIDDEN = 5_000;

/** How long an answer may take. A process that does not answer is waited for two seconds by the node. */
const ANSWER_MAX = 3_000;

const WORDS = {
  up: "up",
  leaving: "is leaving",
  "cut-off": "hears no majority",
  unreached: "does not answer",
  silent: "is silent",
  gone: "has ended",
};

export class Status {
  /** `on` has `status(status)`, `note(text, kind)`, `error(error)`. */
  constructor(on) {
    this.on = on;
    this.last = null;
    this.wake = () => {};
  }

  async run() {
    for (;;) {
      try {
        const status = await api.json("/api/v1/status", {}, { max: ANSWER_MAX });
        const before = this.last;
        this.last = status;
        if (before) tell(before, status, this.on.note);
        this.on.status(status);
      } catch (error) {
        await this.on.error(error);
      }
      const period = document.hidden ? PERIOD_HIDDEN : PERIOD;
      await new Promise((done) => {
        this.wake = done;
        setTimeout(done, period);
      });
    }
  }
}

const named = (process) => process.addr || process.id;

/** What has happened from one answer to the next. */
function tell(before, after, note) {
  const old = new Map(before.processes.map((process) => [process.id, process]));
  const holders = new Map();
  for (const { slot, ...process } of before.processes) if (slot !== null) holders.set(slot, process);
  for (const process of after.processes) {
    const was = old.get(process.id);
    old.delete(process.id);
    const name = named(process);
    if (!was) note(`${name} has joined as a ${process.role}`, "good");
    if (process.slot !== null && was?.slot !== process.slot) {
      const from = holders.get(process.slot);
      const whose = from ? ` of ${named(from)}` : "";
      if (was || from) note(`${name} took slot ${process.slot}${whose}`, "good");
    } else if (was && was.slot !== null && process.slot === null) {
      note(`${name} lost slot ${was.slot}`, "warn");
    }
    if (was && was.state !== process.state) {
      const isUp = process.state === "up";
      note(isUp ? `${name} is up again` : `${name} ${WORDS[process.state]}`, isUp ? "good" : "bad");
    }
    if (was && was.owner !== process.owner) {
      note(`${name} ${process.owner ? "owns slots of the log" : "owns no slots of the log now"}`, "");
    }
  }
  for (const process of old.values()) note(`${named(process)} has left the cluster`, "warn");
  for (const slot of after.vacancies) {
    if (!before.vacancies.includes(slot)) note(`slot ${slot} is vacant`, "warn");
  }
  if (before.health !== after.health) {
    note(`the cluster is ${after.health.replace("-", " ")}`, after.health === "healthy" ? "good" : "bad");
  }
}

export const stateWord = (state) => WORDS[state] ?? state;
