// Frames from a file of NumPy, for the page of a server and for that of an export.

const TYPES = {
  f4: [4, (view, place, little) => view.getFloat32(place, little)],
  f8: [8, (view, place, little) => view.getFloat64(place, little)],
  // Pictures: their greatest value is 1.
  u1: [1, (view, place) => view.getUint8(place) / 255],
};

// -> {length, width, values}: a Float32Array, frame after frame.
export async function readFrames(file) {
  const content = await file.arrayBuffer();
  const view = new DataView(content);
  const bytes = new Uint8Array(content);
  if (String.fromCharCode(...bytes.subarray(0, 6)) !== "\x93NUMPY") {
    throw new Error("This is no .npy file; numpy.save writes one.");
  }
  const isLong = bytes[6] > 1;
  const begin = isLong ? 12 : 10;
  const end = begin + (isLong ? view.getUint32(8, true) : view.getUint16(8, true));
  const header = new TextDecoder("latin1").decode(bytes.subarray(begin, end));
  const [, order, type] = header.match(/'descr': *'([<>|=]?)(\w+)'/) ?? [];
  const shape = (header.match(/'shape': *\(([^)]*)\)/)?.[1] ?? "").split(",")
    .filter((size) => size.trim()).map(Number);
  if (!TYPES[type] || shape.length < 2 || header.includes("'fortran_order': True")) {
    throw new Error("Frames are an array of float32, float64 or uint8, row by row, of shape " +
      `(frames, values). This file has ${type ?? "none"} of shape (${shape.join(", ")}).`);
  }
  const [size, read] = TYPES[type];
  const [length] = shape;
  const width = shape.slice(1).reduce((product, one) => product * one, 1);
  if (content.byteLength < end + size * length * width) throw new Error("This file is cut.");
  const values = new Float32Array(length * width);
  for (let i = 0; i < values.length; i++) values[i] = read(view, end + size * i, order !== ">");
  if (!values.every(Number.isFinite)) throw new Error("This file has NaN or infinity.");
  return { length, width, values };
}
