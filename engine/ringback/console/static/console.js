// The entry of all scripts of the console. Every page works without them, but for what comes live.
import "./in.js";
import "./time.js";
import "./keys.js";
import "./live.js";
import "./again.js";
import "./phone.js";
import "./forecast.js";
