// The AI SDK with its provider for compatible services, told as one JSON object on standard output.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateObject, generateText, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';

const { GATEWAY_URL, GATEWAY_TOKEN, WIRE } = process.env;
const gateway = createOpenAICompatible({
  name: 'gateway',
  baseURL: `${GATEWAY_URL}/v1`,
  apiKey: GATEWAY_TOKEN,
  headers: { 'x-proxy-wire': WIRE },
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const told = {};
const common = { maxRetries: 0, onError: () => {} };

const whole = await generateText({ model: gateway('sandbox-echo'), prompt: 'Hello wörld', maxRetries: 0 });
told.whole = { text: whole.text, finish: whole.finishReason, tokens: whole.usage.totalTokens };

const thinking = streamText({ model: gateway('sandbox-reasoner'), prompt: 'one two three', ...common });
const kinds = [];
for await (const { type } of thinking.fullStream) if (kinds.at(-1) !== type) kinds.push(type);
told.thinking = { kinds, text: await thinking.text, thoughts: await thinking.reasoningText };

const ran = [];
const tools = {
  get_weather: tool({
    description: 'The weather at a place.',
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => (ran.push(`weather ${city}`), `rain in ${city}`),
  }),
  add_numbers: tool({
    description: 'The sum of two numbers.',
    inputSchema: z.object({ left: z.number(), right: z.number() }),
    execute: async ({ left, right }) => (ran.push(`sum ${left} ${right}`), left + right),
  }),
};
const prompt = 'What is the weather in "Oslo", and can you add 3 and 4?';
told.loops = {};
for (const name of ['sandbox-gpt-5.2', 'sandbox-gemini-3.1', 'sandbox-kimi-k2.5']) {
  const loop = streamText({ model: gateway(name), prompt, tools, stopWhen: stepCountIs(5), ...common });
  await loop.consumeStream();
  const steps = await loop.steps;
  told.loops[name] = {
    text: await loop.text,
    finish: steps.map(({ finishReason }) => finishReason),
    tokens: (await loop.totalUsage).totalTokens,
    ran: ran.splice(0),
  };
}

const schema = z.object({ start: z.string(), end: z.string(), years: z.number() });
const asked = { schema, prompt: 'From "Oslo" to "Bergen" in 12 years.', maxRetries: 0 };
told.object = (await generateObject({ model: gateway('sandbox-gpt-5.2'), ...asked })).object;

async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return { name: error.name, status: error.statusCode, retryable: error.isRetryable, message: error.message };
  }
  return null;
}
told.failures = [
  await failure(generateText({ model: gateway('sandbox-ecko'), prompt: 'Hello', maxRetries: 0 })),
  await failure(generateText({ model: gateway('sandbox-failing'), prompt: 'fail: status 400', maxRetries: 0 })),
];

console.log(JSON.stringify(told));
