// Talking to the server, at addresses relative to the page: it may stand below a path. A vote stays in local storage until the server has committed it.

const RETRY_SECONDS = [1, 2, 4, 8, 15];

export class Refused extends Error {
  constructor(status, message, reason) {
    super(message);
    this.status = status;
    this.reason = reason; // Why somebody cannot take part.
  }
}

export class Api {
  constructor(token) {
    this.token = token;
    this.storageKey = `listening-test-unsent-${token}`;
  }

  async call(path, body) {
    const options = { headers: { Authorization: `Bearer ${this.token}` } };
    if (body !== undefined) {
      options.method = "POST";
      options.headers["Content-Type"] = "application/json";
      options.body = JSON.stringify(body);
    }
    const answer = await fetch(path, options);
    if (!answer.ok) {
      const { detail, reason } = await answer.json().catch(() => ({ detail: answer.statusText }));
      throw new Refused(answer.status, detail, reason);
    }
    return answer;
  }

  async json(path, body) {
    return (await this.call(path, body)).json();
  }

  unsent() {
    return JSON.parse(localStorage.getItem(this.storageKey) ?? "[]");
  }

  /** Send a vote; keep trying until it is committed. `onWaiting` is told of each failed attempt. */
  async vote(vote, onWaiting) {
    const others = this.unsent().filter((kept) => kept.trial !== vote.trial);
    localStorage.setItem(this.storageKey, JSON.stringify([...others, vote]));
    return this.flush(onWaiting);
  }

  /** Send all kept votes; return the last answer, or null where none was kept. */
  async flush(onWaiting) {
    let last = null;
    for (const vote of this.unsent()) {
      last = await this.sendUntilCommitted(vote, onWaiting);
      localStorage.setItem(this.storageKey, JSON.stringify(this.unsent().filter((kept) => kept.trial !== vote.trial)));
    }
    return last;
  }

  async sendUntilCommitted(vote, onWaiting) {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.json("api/vote", vote);
      } catch (error) {
        const final = error instanceof Refused && error.status < 500 && error.status !== 429 && error.status !== 401;
        if (final) {
          localStorage.removeItem(this.storageKey);
          throw error;
        }
        onWaiting(error);
        await retryTime(RETRY_SECONDS[Math.min(attempt, RETRY_SECONDS.length - 1)]);
      }
    }
  }
}

/** Wait, but no longer than until the network is back. */
function retryTime(seconds) {
  return new Promise((resolve) => {
    const timer = setTimeout(done, seconds * 1000);
    function done() {
      clearTimeout(timer);
      window.removeEventListener("online", done);
      resolve();
    }
    window.addEventListener("online", done);
  });
}
