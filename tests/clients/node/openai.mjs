// Everything that the openai package does with chat completions, told as one JSON object on standard output.
import OpenAI from 'openai';
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';

const { GATEWAY_URL, GATEWAY_TOKEN, WIRE } = process.env;
const options = { baseURL: `${GATEWAY_URL}/v1`, maxRetries: 0, timeout: 20_000, defaultHeaders: { 'x-proxy-wire': WIRE } };
const client = new OpenAI({ ...options, apiKey: GATEWAY_TOKEN });
const chat = client.chat.completions;
const user = (content) => [{ role: 'user', content }];
const told = {};

const { data: whole, request_id, response } = await chat
  .create({ model: 'sandbox-echo', messages: user('Hello wörld') })
  .withResponse();
told.whole = {
  content: whole.choices[0].message.content,
  finish: whole.choices[0].finish_reason,
  tokens: whole.usage.total_tokens,
  wire: response.headers.get('x-proxy-wire'),
  sameId: request_id === whole._request_id && request_id === response.headers.get('x-request-id'),
};

const pieces = [];
let usage = null;
const streamed = { model: 'sandbox-echo', messages: user('one two three'), stream: true };
for await (const chunk of await chat.create({ ...streamed, stream_options: { include_usage: true } })) {
  pieces.push(chunk.choices[0]?.delta.content ?? '');
  usage = chunk.usage ?? usage;
}
told.streamed = { content: pieces.join(''), pieces: pieces.length, tokens: usage.total_tokens };

const stream = chat.stream({ model: 'sandbox-reasoner', messages: user('one two three') });
let said = '';
stream.on('content', (delta) => (said += delta));
const added = await stream.finalChatCompletion();
told.added = { said, content: added.choices[0].message.content, finish: added.choices[0].finish_reason };

const ran = [];
const tools = [
  zodFunction({
    name: 'get_weather',
    parameters: z.object({ city: z.string() }),
    function: ({ city }) => (ran.push(`weather ${city}`), `rain in ${city}`),
  }),
  zodFunction({
    name: 'add_numbers',
    parameters: z.object({ left: z.number(), right: z.number() }),
    function: ({ left, right }) => (ran.push(`sum ${left} ${right}`), String(left + right)),
  }),
];
const question = user('What is the weather in "Oslo", and can you add 3 and 4?');
const model = 'sandbox-gpt-5.2';
const runner = chat.runTools({ model, messages: question, tools });
told.tools = { answer: await runner.finalContent(), ran: ran.splice(0), turns: runner.messages.map(({ role }) => role) };
const streamer = chat.runTools({ model, messages: question, tools, stream: true });
told.streamedTools = { answer: await streamer.finalContent(), ran: ran.splice(0), finish: [] };
for (const { choices } of streamer.allChatCompletions()) told.streamedTools.finish.push(choices[0].finish_reason);

const Move = z.object({ start: z.string(), end: z.string(), years: z.number() });
const move = { messages: user('From "Oslo" to "Bergen" in 12 years.'), response_format: zodResponseFormat(Move, 'move') };
told.parsed = (await chat.parse({ model: 'sandbox-json', ...move })).choices[0].message.parsed;
told.streamedParsed = (await chat.stream({ model, ...move }).finalChatCompletion()).choices[0].message.parsed;

async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return { name: error.constructor.name, status: error.status, code: error.code, param: error.param };
  }
  return null;
}
const stranger = new OpenAI({ ...options, apiKey: 'nobody-knows-this-token' });
told.failures = [
  await failure(stranger.models.list()),
  await failure(chat.create({ model: 'sandbox-ecko', messages: user('Hello') })),
  await failure(chat.create({ model: 'sandbox-echo', messages: user('Hello'), n: 2 })),
  await failure(client.embeddings.create({ model: 'sandbox-echo', input: 'Hello' })),
];

told.models = [];
for await (const { id } of client.models.list()) told.models.push(id);
told.model = (await client.models.retrieve('Sandbox-Echo')).id;

console.log(JSON.stringify(told));
