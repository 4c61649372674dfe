// Sound from a file or a microphone, for the page of a server and for that of an export.

// What the browser can read, as one channel at a rate in samples a second.
async function samplesOf(blob, rate) {
  const audio = await new OfflineAudioContext(1, 1, rate).decodeAudioData(await blob.arrayBuffer());
  const samples = new Float32Array(audio.length);
  for (let channel = 0; channel < audio.numberOfChannels; channel++) {
    audio.getChannelData(channel).forEach((value, i) => {
      samples[i] += value / audio.numberOfChannels;
    });
  }
  return samples;
}

// Makes a button record and a field take a file.
//   rate() -> samples a second
//   heard(samples), failed(message): what comes of it
export function listen({ button, file, status, rate, heard, failed }) {
  let recorder = null;

  async function take(blob) {
    let samples;
    try {
      samples = await samplesOf(blob, rate());
    } catch (error) {
      failed(`This sound cannot be read: ${error.message}`);
      return;
    }
    status.textContent =
      `${(samples.length / rate()).toFixed(1)} s at ${rate()} samples a second`;
    await heard(samples);
  }

  button.addEventListener("click", async () => {
    if (recorder) {
      recorder.stop();
      return;
    }
    try {
      if (!navigator.mediaDevices) {
        throw new Error("a browser lets pages of https and of this machine use it alone");
      }
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const parts = [];
      recorder = new MediaRecorder(stream);
      recorder.addEventListener("dataavailable", ({ data }) => parts.push(data));
      recorder.addEventListener("stop", () => {
        for (const track of stream.getTracks()) track.stop();
        recorder = null;
        button.textContent = "Record";
        take(new Blob(parts));
      });
      recorder.start();
      button.textContent = "Stop";
    } catch (error) {
      failed(`No microphone: ${error.message}`);
    }
  });
  file.addEventListener("change", () => {
    if (file.files.length) take(file.files[0]);
  });
}
