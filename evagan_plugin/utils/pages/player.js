// Sound. Samples are decoded before they can be started, so that nothing stutters; switching has no gap.

const SWITCH_SECONDS = 0.008; // Long enough not to click, short enough to be heard as at once.
const LEAD_SECONDS = 0.03; // Time to have all sources ready before they start together.

export class Player {
  /** `fetchBytes(id)` resolves to the file of a sample as an ArrayBuffer. */
  constructor(fetchBytes, sampleRate) {
    this.fetchBytes = fetchBytes;
    this.sampleRate = sampleRate;
    this.context = null;
    this.buffers = new Map();
    this.stopCurrent = () => {};
  }

  /** Browsers allow sound after a click or key only: call this in its handler. */
  async unlock() {
    this.context ??= new AudioContext({ sampleRate: this.sampleRate, latencyHint: "interactive" });
    await this.context.resume();
  }

  /** Fetch and decode a sample once. */
  load(id) {
    if (!this.buffers.has(id)) {
      const loading = this.fetchBuffer(id).catch((error) => {
        this.buffers.delete(id);
        throw error;
      });
      this.buffers.set(id, loading);
    }
    return this.buffers.get(id);
  }

  async fetchBuffer(id) {
    const bytes = await this.fetchBytes(id);
    // An offline context decodes without a click of the user and at the rate of the test.
    return new OfflineAudioContext(1, 1, this.sampleRate).decodeAudioData(bytes);
  }

  /** Forget the samples that are not needed any more. */
  keepOnly(ids) {
    for (const id of this.buffers.keys()) if (!ids.has(id)) this.buffers.delete(id);
  }

  stop() {
    this.stopCurrent();
  }

  /** Play a left-hand or right-hand tone. */
  async tone(side) {
    await this.unlock();
    this.stop();
    const source = this.context.createOscillator();
    const gain = this.context.createGain();
    const pan = this.context.createStereoPanner();
    const start = this.context.currentTime + LEAD_SECONDS;
    pan.pan.value = side === "left" ? -1 : 1;
    source.frequency.value = 440;
    gain.gain.setValueAtTime(0, start);
    gain.gain.linearRampToValueAtTime(0.15, start + 0.05);
    gain.gain.setValueAtTime(0.15, start + 0.75);
    gain.gain.linearRampToValueAtTime(0, start + 0.8);
    source.connect(gain).connect(pan).connect(this.context.destination);
    source.start(start);
    source.stop(start + 0.8);
    this.stopCurrent = () => source.stop();
  }

  /**
   * Start samples of equal length together, one of them audible.
   * `onTime(position, audible, advanced)` is told several times per second; `onEnd(completed)` once.
   */
  async start(buffers, audible, { offset = 0, onTime = () => {}, onEnd = () => {} } = {}) {
    await this.unlock();
    this.stop();
    const { context } = this;
    const duration = buffers[0].duration;
    const begin = context.currentTime + LEAD_SECONDS;
    const gains = buffers.map((_, index) => new GainNode(context, { gain: index === audible ? 1 : 0 }));
    const sources = buffers.map((buffer, index) => {
      const source = new AudioBufferSourceNode(context, { buffer });
      source.connect(gains[index]).connect(context.destination);
      source.start(begin, offset);
      return source;
    });
    const playback = { audible, position: offset, over: false };
    const advance = () => {
      const position = Math.min(duration, Math.max(offset, offset + context.currentTime - begin));
      onTime(position, playback.audible, position - playback.position);
      playback.position = position;
    };
    const ticker = setInterval(advance, 50);
    const finish = (completed) => {
      if (playback.over) return;
      playback.over = true;
      clearInterval(ticker);
      advance();
      for (const source of sources) source.stop();
      this.stopCurrent = () => {};
      onEnd(completed);
    };
    sources[0].onended = () => finish(true);
    this.stopCurrent = () => finish(false);
    playback.switchTo = (index) => {
      advance();
      const now = context.currentTime;
      for (const [number, gain] of gains.entries()) {
        gain.gain.cancelScheduledValues(now);
        gain.gain.setValueAtTime(gain.gain.value, now);
        gain.gain.linearRampToValueAtTime(number === index ? 1 : 0, now + SWITCH_SECONDS);
      }
      playback.audible = index;
    };
    return playback;
  }
}
