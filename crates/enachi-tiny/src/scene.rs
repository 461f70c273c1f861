//! From a class and random numbers to pixels: background, distractors, object, occluder, light, noise.

use crate::random::Random;
use crate::shapes::{Class, Point, Shape};
use crate::{Picture, SIDE};

/// R, G, B on the scale 0..=1.
type Colour = [f32; 3];

/// Period of the background's cloud grid \[pixel\].
const CLOUD_CELL: usize = 8;
const CLOUD_GRID: usize = SIDE as usize / CLOUD_CELL + 1;

/// Draw one picture. `hardness` 0..1 scales everything that hides the object.
pub(crate) fn paint(class: Class, hardness: f32, random: &mut Random) -> Picture {
    let background = Background::draw(hardness, random);
    let first = visible_colour(background.colour, hardness, random);
    let second = visible_colour(first, hardness, random);
    let object = Object::draw(class, first, second, hardness, random);
    let behind = Clutter::draw(hardness, &object, random);
    let in_front = Clutter::draw(0.6 * hardness, &object, random);
    let occluder = Occluder::draw(&object, background.colour, hardness, random);
    let light = Light::draw(random);
    let noise = 0.012 + 0.13 * hardness * random.unit();
    let mut pixels = Vec::with_capacity((SIDE * SIDE * 3) as usize);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let at = (x as f32 + 0.5, y as f32 + 0.5);
            let mut colour = background.at(at);
            for mark in &behind.marks {
                mark.cover(&mut colour, at);
            }
            object.cover(&mut colour, at);
            for mark in &in_front.marks {
                mark.cover(&mut colour, at);
            }
            if let Some(occluder) = &occluder {
                occluder.cover(&mut colour, at);
            }
            let gain = light.at(at);
            // Two thirds of the noise are common to the three channels.
            let common = random.bell();
            for channel in colour {
                let value = channel * gain + noise * (0.8 * common + 0.6 * random.bell());
                pixels.push((value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8);
            }
        }
    }
    Picture {
        label: class as u16,
        hardness,
        pixels,
    }
}

fn mix(a: Colour, b: Colour, share: f32) -> Colour {
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * share)
}

fn any_colour(random: &mut Random) -> Colour {
    std::array::from_fn(|_| random.between(0.06, 0.94))
}

fn distance(a: Colour, b: Colour) -> f32 {
    (0..3)
        .map(|i| (a[i] - b[i]) * (a[i] - b[i]))
        .sum::<f32>()
        .sqrt()
}

/// A colour that stands out from `from`: by 0.5 or more (of at most 1.7) at hardness 0, by as little as 0.13 at 1.
fn visible_colour(from: Colour, hardness: f32, random: &mut Random) -> Colour {
    let mut found = any_colour(random);
    // Half of the colour cube is that far from any colour, so the opposite corner is hardly ever needed.
    for _ in 0..12 {
        if distance(found, from) >= 0.5 {
            break;
        }
        found = any_colour(random);
    }
    if distance(found, from) < 0.5 {
        found = from.map(|channel| if channel < 0.5 { 0.94 } else { 0.06 });
    }
    mix(
        from,
        found,
        1.0 - 0.74 * hardness * random.between(0.4, 1.0),
    )
}

/// How much of a pixel lies inside an edge at this signed distance \[pixel\], for an edge this soft \[pixel\].
fn coverage(distance: f32, softness: f32) -> f32 {
    (0.5 - distance / softness).clamp(0.0, 1.0)
}

/// A gradient with clouds and sometimes faint waves.
struct Background {
    colour: Colour,
    slope: Colour,
    direction: (f32, f32),
    clouds: [[f32; CLOUD_GRID]; CLOUD_GRID],
    waves: f32,
    wave_vector: (f32, f32),
}

impl Background {
    fn draw(hardness: f32, random: &mut Random) -> Self {
        let strength = 0.02 + 0.2 * hardness * random.unit();
        let waves = if random.chance(0.4) {
            0.02 + 0.1 * hardness
        } else {
            0.0
        };
        let (c, s) = random.direction();
        let frequency = 1.0 / random.between(5.0, 12.0);
        Self {
            colour: any_colour(random),
            slope: std::array::from_fn(|_| random.between(-0.2, 0.2)),
            direction: random.direction(),
            clouds: std::array::from_fn(|_| {
                std::array::from_fn(|_| random.between(-strength, strength))
            }),
            waves,
            wave_vector: (c * frequency, s * frequency),
        }
    }

    fn at(&self, (x, y): Point) -> Colour {
        let half = SIDE as f32 / 2.0;
        let ramp = ((x - half) * self.direction.0 + (y - half) * self.direction.1) / half;
        let cell = CLOUD_CELL as f32;
        let (column, row) = (x / cell, y / cell);
        let (i, j) = (column as usize, row as usize);
        let (u, v) = (column - i as f32, row - j as f32);
        let along = |row: usize| self.clouds[row][i] * (1.0 - u) + self.clouds[row][i + 1] * u;
        let cloud = along(j) * (1.0 - v) + along(j + 1) * v;
        let cycle = x * self.wave_vector.0 + y * self.wave_vector.1;
        // A triangle wave.
        let wave = self.waves * (4.0 * (cycle - cycle.floor() - 0.5).abs() - 1.0);
        std::array::from_fn(|k| self.colour[k] + self.slope[k] * ramp + cloud + wave)
    }
}

/// The thing to recognise, placed.
struct Object {
    shape: Shape,
    centre: Point,
    /// Pixels per unit of the shape.
    radius: f32,
    /// From pixels around the centre to the shape's coordinates.
    inverse: [f32; 4],
    first: Colour,
    second: Colour,
    shading: f32,
    softness: f32,
}

impl Object {
    fn draw(
        class: Class,
        first: Colour,
        second: Colour,
        hardness: f32,
        random: &mut Random,
    ) -> Self {
        let shape = Shape::draw(class, random);
        let radius = random.between(14.0, 25.0) * (1.0 - 0.35 * hardness * random.unit());
        let room = 0.85 * (SIDE as f32 / 2.0 - radius);
        let centre = (
            SIDE as f32 / 2.0 + random.between(-room, room),
            SIDE as f32 / 2.0 + random.between(-room, room),
        );
        // Pixel offset = rotation · diag(aspect, 1/aspect) · rotation' · shape coordinates · radius.
        let aspect = random.between(0.86, 1.16);
        let (c, s) = random.direction();
        let (c2, s2) = random.direction();
        let (wide, tall) = (1.0 / (radius * aspect), aspect / radius);
        Self {
            shape,
            centre,
            radius,
            inverse: [
                wide * c * c2 - tall * s * s2,
                wide * s * c2 + tall * c * s2,
                -wide * c * s2 - tall * s * c2,
                -wide * s * s2 + tall * c * c2,
            ],
            first,
            second,
            shading: random.between(-0.16, 0.16),
            softness: 0.9 + 2.0 * hardness * random.unit(),
        }
    }

    fn cover(&self, colour: &mut Colour, at: Point) {
        let (dx, dy) = (at.0 - self.centre.0, at.1 - self.centre.1);
        let [a, b, c, d] = self.inverse;
        let p = (a * dx + b * dy, c * dx + d * dy);
        let inside = coverage(self.shape.distance(p) * self.radius, self.softness);
        if inside > 0.0 {
            let second = self.shape.pattern(p).map_or(0.0, |distance| {
                coverage(-distance * self.radius, self.softness)
            });
            let paint = mix(self.first, self.second, second).map(|v| v + self.shading * p.0);
            *colour = mix(*colour, paint, inside);
        }
    }
}

/// Strokes and spots that belong to no object.
struct Clutter {
    marks: Vec<Mark>,
}

struct Mark {
    from: Point,
    /// Unit vector and length of a stroke; length 0 is a spot.
    along: (f32, f32),
    length: f32,
    half_width: f32,
    colour: Colour,
}

impl Clutter {
    fn draw(hardness: f32, object: &Object, random: &mut Random) -> Self {
        let count = random.below(2 + (6.0 * hardness) as u32);
        let marks = (0..count)
            .map(|_| {
                let colour = any_colour(random);
                // Some marks share the object's colour: colour alone must not tell what belongs to it.
                let colour = if random.chance(0.3) {
                    object.first
                } else {
                    colour
                };
                Mark {
                    from: (
                        random.between(0.0, SIDE as f32),
                        random.between(0.0, SIDE as f32),
                    ),
                    along: random.direction(),
                    length: if random.chance(0.4) {
                        0.0
                    } else {
                        random.between(5.0, 16.0)
                    },
                    half_width: random.between(0.7, 2.2),
                    colour,
                }
            })
            .collect();
        Self { marks }
    }
}

impl Mark {
    fn cover(&self, colour: &mut Colour, at: Point) {
        let (dx, dy) = (at.0 - self.from.0, at.1 - self.from.1);
        let along = (dx * self.along.0 + dy * self.along.1).clamp(0.0, self.length);
        let (ex, ey) = (dx - along * self.along.0, dy - along * self.along.1);
        let share = coverage((ex * ex + ey * ey).sqrt() - self.half_width, 1.0);
        if share > 0.0 {
            *colour = mix(*colour, self.colour, share);
        }
    }
}

/// A bar across the picture that hides a part of the object.
struct Occluder {
    normal: (f32, f32),
    offset: f32,
    half_width: f32,
    colour: Colour,
}

impl Occluder {
    fn draw(
        object: &Object,
        background: Colour,
        hardness: f32,
        random: &mut Random,
    ) -> Option<Self> {
        let present = random.chance(0.1 + 0.6 * hardness);
        let normal = random.direction();
        let along = random.between(-0.9, 0.9) * object.radius;
        let half_width = object.radius * random.between(0.06, 0.1 + 0.24 * hardness);
        let other = any_colour(random);
        let colour = if random.chance(0.5) {
            background
        } else {
            other
        };
        present.then_some(Self {
            normal,
            offset: object.centre.0 * normal.0 + object.centre.1 * normal.1 + along,
            half_width,
            colour,
        })
    }

    fn cover(&self, colour: &mut Colour, at: Point) {
        let distance = (at.0 * self.normal.0 + at.1 * self.normal.1 - self.offset).abs();
        *colour = mix(
            *colour,
            self.colour,
            coverage(distance - self.half_width, 1.0),
        );
    }
}

/// Light that falls off to one side.
struct Light {
    direction: (f32, f32),
    level: f32,
    fall: f32,
}

impl Light {
    fn draw(random: &mut Random) -> Self {
        Self {
            direction: random.direction(),
            level: random.between(0.75, 1.1),
            fall: random.between(0.0, 0.3),
        }
    }

    fn at(&self, (x, y): Point) -> f32 {
        let half = SIDE as f32 / 2.0;
        let side = ((x - half) * self.direction.0 + (y - half) * self.direction.1) / half;
        self.level * (1.0 + self.fall * side)
    }
}
