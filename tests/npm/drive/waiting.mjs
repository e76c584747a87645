// Waits for a condition on something that tells when it changes.

export class Changes {
  #waiting = new Set();

  // Resolves once `condition()` holds; rejects with what `failure()` returns, if it returns anything.
  until(condition, failure = () => undefined) {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (condition()) resolve();
        else if (failure()) reject(failure());
        else return false;
        this.#waiting.delete(look);
        return true;
      };
      if (!look()) this.#waiting.add(look);
    });
  }

  // Something changed: those who wait look again.
  notify() {
    for (const look of [...this.#waiting]) look();
  }
}
