// A picture for a question, made small enough to be sent.

const TYPES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);
const MOST_CHARACTERS = 1_000_000;
const SIDES = [2000, 1600, 1200, 900, 600, 400];
const QUALITIES = [0.85, 0.6];

function whole(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(file);
  });
}

function drawn(image, side) {
  const scale = Math.min(1, side / Math.max(image.width, image.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(image.width * scale));
  canvas.height = Math.max(1, Math.round(image.height * scale));
  const pen = canvas.getContext("2d");
  // JPEG has no transparency.
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** A picture as a `data:` URL: as it is, if that is small enough, or as a smaller JPEG. */
export async function read(file) {
  const image = await createImageBitmap(file).catch(() => null);
  if (!image) throw new Error("The browser cannot read this file as a picture.");
  if (TYPES.has(file.type) && file.size < MOST_CHARACTERS * 0.7) return whole(file);
  for (const side of SIDES) {
    const canvas = drawn(image, side);
    const found = QUALITIES.map((quality) => canvas.toDataURL("image/jpeg", quality)).find((url) => url.length < MOST_CHARACTERS);
    if (found) return found;
  }
  throw new Error("This picture cannot be made small enough.");
}
