// Planes of numbers on a canvas: activation maps, and images in Hounsfield units under a window.

const SEQUENCE = [[0, 34, 78], [67, 78, 108], [125, 124, 120], [188, 175, 111], [254, 232, 56]]; // cividis
const SIGNED = [[33, 102, 172], [146, 197, 222], [247, 247, 247], [244, 165, 130], [178, 24, 43]];

function shade(stops, share) {
	const place = Math.max(0, Math.min(1, share)) * (stops.length - 1);
	const k = Math.min(stops.length - 2, Math.floor(place));
	return stops[k].map((low, c) => low + (stops[k + 1][c] - low) * (place - k));
}

// Draws values [h][w] in cells of whole pixels, one of them marked; returns the range, or null for zeros.
export function drawMap(canvas, values, mark) {
	const height = values.length;
	const width = values[0].length;
	const cell = Math.max(2, Math.ceil(224 / Math.max(height, width)));
	canvas.width = width * cell;
	canvas.height = height * cell;
	let low = Infinity;
	let high = -Infinity;
	for (const row of values) for (const value of row) { low = Math.min(low, value); high = Math.max(high, value); }
	const signed = low < 0;
	const size = signed ? Math.max(-low, high) : high;
	const ink = canvas.getContext("2d");
	values.forEach((row, y) => row.forEach((value, x) => {
		const [r, g, b] = size > 0 ? shade(signed ? SIGNED : SEQUENCE, signed ? 0.5 + value / size / 2 : value / size) : SEQUENCE[0];
		ink.fillStyle = `rgb(${r | 0} ${g | 0} ${b | 0})`;
		ink.fillRect(x * cell, y * cell, cell, cell);
	}));
	if (mark) frame(ink, mark.x * cell, mark.y * cell, cell, cell, Math.max(2, cell / 6));
	return { low, high, signed };
}

// A frame that is seen on black and on white.
export function frame(ink, x, y, width, height, line, colour = "#d5260a") {
	ink.lineWidth = line * 2;
	ink.strokeStyle = "#fff";
	ink.strokeRect(x, y, width, height);
	ink.lineWidth = line;
	ink.strokeStyle = colour;
	ink.strokeRect(x, y, width, height);
}

// Hounsfield units as grey: black at centre - width/2 and below, white at centre + width/2 and above.
export function windowed(values, width, height, [centre, wide]) {
	const pixels = new ImageData(width, height);
	const low = centre - wide / 2;
	for (let k = 0; k < values.length; k += 1) {
		const grey = ((values[k] - low) / wide) * 255;
		pixels.data.fill(grey, 4 * k, 4 * k + 3); // clamped and rounded by its array
		pixels.data[4 * k + 3] = 255;
	}
	return pixels;
}
