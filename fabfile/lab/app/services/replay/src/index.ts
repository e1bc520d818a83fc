import { run } from "@islandflow/service";

// Stands for the original's replay, which runs only when somebody asks for it: this one publishes nothing.
await run("replay", async () => async () => {});
