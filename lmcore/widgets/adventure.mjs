// One play of a text adventure, the twin of lmcore/widgets/adventure.py: rules that are plain code, and a model that writes.
import { softmax } from "./engine.mjs";
import { drawn, filtered, likeliest, randomNumbers } from "./sampling.mjs";

export const printed = (text) => text.replace(/ ([.,!?:;])/g, "$1");
const an = (word) => `${"aeiou".includes(word[0]) ? "an" : "a"} ${word}`;

/** What lets the model write: a generator of the words that follow a text, up to the first full stop, the model's own end or
    `most` words. `random` gives the numbers to draw them with; null takes the likeliest. */
export const writerOf = (runner, temperature) => function* (text, most, random) {
  const { tokenizer, never, end, start, room } = runner, ids = [...start, ...tokenizer.encode(text)], words = [];
  while (words.length < most && words.at(-1) !== "." && ids.length < room) {
    const logits = yield* runner.begin(ids);
    const token = random ? drawn(softmax(filtered(logits, { never, temperature })), random()) : likeliest(filtered(logits, { never }));
    if (token === end) break;
    ids.push(token);
    words.push(tokenizer.vocabulary[token]);
  }
  return words;
};

export class Play {
  /** `game` and `sources` as Adventure and where_things_are give them; `write` as writerOf. */
  constructor({ game, sources, longest, seed, write }) {
    Object.assign(this, { game, sources, longest, write, said: [], done: 0, random: randomNumbers(seed), place: game.start, first: true, deed: "", over: "", hours: game.hours, bag: [], opened: [], asked: "" });
    const left = Object.keys(sources), draw = (list) => Math.floor(this.random() * list.length);
    this.wishes = Array.from({ length: game.wishes }, () => left.splice(draw(left), 1)[0]);
    this.riddles = Object.fromEntries(game.keepers.map((place) => [place, game.riddles[draw(game.riddles)]]));
    this.tell(`You are ${game.hero}. Bring home ${this.wishes.map(an).join(", ")}. You have ${game.hours} hours.`);
    this.tell(`You are at the ${this.place}.`);
  }

  tell(text, who = "rules") { this.said.push([who, text]); }
  near(place = this.place) { return this.game.paths.filter((path) => path.includes(place)).map(([a, b]) => (a === place ? b : a)); }

  /** What the model reads before the next verb: how the hero came here, and the last deed here. */
  get before() {
    const { hero, she } = this.game, text = `${hero} ${this.first ? "was at" : "went to"} the ${this.place} . There ${she}`;
    return this.deed ? `${text} ${this.deed} Then ${she}` : text;
  }

  /** Do what a command says: "go beach", a verb, "say Oslo", "ask", "hint". A generator, as the model may have to write. */
  * act(command) {
    const [word, ...rest] = command.trim().toLowerCase().replace(/[.!?]+$/, "").split(/\s+/).filter((w) => w);
    this.done++;
    if (this.over || !word) return;
    this.tell(command.trim(), "you");
    if (word === "go") this.go(rest.filter((w) => w !== "to" && w !== "the").join(" "));
    else if (word === "say") this.answer(rest.join(" "));
    else if (word === "ask") yield* this.ask();
    else if (word === "hint") this.hint();
    else yield* this.perform(["she", "he", "i"].includes(word) ? rest.at(-1) ?? word : word);
    this.judge();
  }

  go(place) {
    const near = this.near();
    if (!near.includes(place)) return this.tell(`From here you can go to ${near.map((name) => "the " + name).join(", ")}.`);
    if (place in this.riddles && !this.opened.includes(place)) {
      this.asked = place;
      return this.tell(`The keeper of the ${place} asks: ${printed(this.riddles[place][0])}`);
    }
    this.hours--;
    this.enter(place);
  }
  enter(place) {
    Object.assign(this, { place, first: false, deed: "", asked: "" });
    this.tell(`You are at the ${place}.`);
  }
  answer(said) {
    if (!this.asked) return this.tell("Nobody has asked you anything.");
    this.hours--;
    if (!` ${said}`.endsWith(` ${this.riddles[this.asked][1].toLowerCase()}`)) return this.tell(`“No,” says the keeper of the ${this.asked}.`);
    this.opened.push(this.asked);
    this.tell("“Right,” says the keeper, and lets you in.");
    this.enter(this.asked);
  }
  * ask() {
    if (!this.asked) return this.tell("The parrot is silent: nobody has asked you anything.");
    this.hours--;
    const words = yield* this.write(this.riddles[this.asked][0], this.longest.answer, null);
    this.tell(`“${printed(words.join(" "))}”`, "parrot");
  }
  hint() {
    this.hours--;
    const thing = this.wishes.find((wish) => !this.bag.includes(wish)), [place, verb, share] = this.sources[thing];
    this.tell(`For ${an(thing)} go to the ${place} and try “${verb}”. The model writes it there about ${Math.floor(100 * share + 0.5)} times in 100.`);
  }
  * perform(verb) {
    if (!this.game.verbs.includes(verb)) return this.tell(`“${verb}” is no verb of this game. Take one that is offered, or another verb in the past.`);
    this.hours--;
    const { before } = this, there = this.deed ? "Then" : "There", sentence = [verb, ...(yield* this.write(`${before} ${verb}`, this.longest.deed, this.random))];
    if (sentence.at(-1) !== ".") sentence.push(".");
    this.deed = sentence.join(" ");
    const after = yield* this.write(`${before} ${this.deed}`, this.longest.after, this.random);
    this.tell(printed([there, this.game.she, ...sentence, ...after].join(" ")), "model");
    for (const words of [sentence, after]) for (const thing of this.won(words)) this.take(thing);
  }

  /** The things of the game that follow a verb of the game and an article. */
  won(words) {
    const { verbs, things } = this.game;
    return words.filter((word, i) => i >= 2 && things.includes(word) && ["a", "an"].includes(words[i - 1]) && verbs.includes(words[i - 2]));
  }
  take(thing) {
    if (this.bag.includes(thing)) return this.tell(`You have ${an(thing)} already.`);
    this.bag.push(thing);
    this.tell(`You have ${an(thing)}${this.wishes.includes(thing) ? ", which is wished for" : ""}.`);
  }
  judge() {
    if (this.wishes.every((thing) => this.bag.includes(thing))) {
      this.over = "won";
      this.tell(`You have all that was wished for, and ${this.hours} of ${this.game.hours} hours are left. You have won.`);
    } else if (this.hours <= 0) {
      this.over = "lost";
      this.tell("The last hour is over. You have lost.");
    }
  }
}
