// The page: it knows one method of the server, and nothing of Python.
import { connect } from './netref.js'

const plane = document.querySelector('#plane')
const curve = document.querySelector('#curve')
const degree = document.querySelector('#degree')
const formula = document.querySelector('#formula')
const { root } = connect(location.href.replace(/^http/, 'ws'))
const HEIGHT = 6
const STEPS = 200
const points = []

function add(x, y) {
  points.push([x, y])
  const dot = document.createElementNS(plane.namespaceURI, 'circle')
  for (const [name, value] of Object.entries({ cx: x, cy: HEIGHT - y, r: 0.1 })) dot.setAttribute(name, value)
  plane.append(dot)
}

async function fit() {
  try {
    const coefficients = await root.fit(points, Number(degree.value))
    const at = x => coefficients.reduce((sum, coefficient) => sum * x + coefficient, 0)
    const xs = Array.from({ length: STEPS + 1 }, (_, i) => (10 * i) / STEPS)
    curve.setAttribute('d', `M ${xs.map(x => `${x} ${(HEIGHT - at(x)).toFixed(3)}`).join(' L ')}`)
    formula.value = coefficients.map(coefficient => coefficient.toPrecision(3)).join(', ')
  } catch (error) {
    formula.value = error.message
  }
}

plane.addEventListener('pointerdown', event => {
  const { left, top, width } = plane.getBoundingClientRect()
  const scale = 10 / width
  add((event.clientX - left) * scale, HEIGHT - (event.clientY - top) * scale)
  fit()
})
degree.addEventListener('input', fit)
for (const [x, y] of [
  [1, 1],
  [3, 4],
  [6, 5],
  [9, 2]
])
  add(x, y)
fit()
