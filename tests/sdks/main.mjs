// Providers' official SDKs for JavaScript against our gateway and its twins: node main.mjs BASE

import discord from "./discord.mjs";
import line from "./line.mjs";
import mail from "./mail.mjs";
import standard from "./standard.mjs";
import twilio from "./twilio.mjs";
import vonage from "./vonage.mjs";
import webpush from "./webpush.mjs";

const checks = { discord, line, mail, standard, twilio, vonage, webpush };
let failed = false;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`  ${name}: fine`);
  } catch (error) {
    failed = true;
    console.error(`  ${name}:`, error);
  }
}
process.exit(failed ? 1 : 0);
