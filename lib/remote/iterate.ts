// What `for await` does with what stands for something remote.

